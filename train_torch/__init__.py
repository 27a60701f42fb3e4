"""The training and inference stage, on PyTorch. Never imports paddle."""
