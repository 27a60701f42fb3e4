"""Quality of a suite on LR/HR pairs: metrics, the paper's Table 1, tiling drift."""
