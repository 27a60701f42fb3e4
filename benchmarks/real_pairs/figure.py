"""The README's picture: LR, bicubic, ensemble and HR of two test pairs, in the window where the ensemble gains most.

.venv/bin/python benchmarks/real_pairs/figure.py runs/real_pairs/canon/ablation docs/real_pairs.png
"""

import argparse
from pathlib import Path

import numpy as np

from shared.images.stream import write_image
from shared.report.crops import read_example
from shared.report.read import read_runs

SIDE, ZOOM, GAP = 72, 3, 8  # px of a window, enlargement, px between


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ablation", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pairs", nargs="*", default=["Nikon_001_LR4", "Nikon_018_LR4"])
    args = parser.parse_args()
    ablation = read_runs([args.ablation]).ablations[0]
    rows = []
    for files in ablation.examples:
        if files.name in args.pairs:
            table = ablation.table
            example = read_example(files, members=(), scale=table.scale, crop=table.crop)
            print(files.name, *(f"{c.name} {c.psnr_rgb or float('inf'):.2f} dB" for c in example.crops))
            crops = [c.pixels.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1) for c in example.crops]
            gap = np.full((crops[0].shape[0], GAP, 3), 255, dtype=np.uint8)
            rows.append(np.concatenate([part for c in crops for part in (c, gap)][:-1], axis=1))
    gap = np.full((GAP, rows[0].shape[1], 3), 255, dtype=np.uint8)
    picture = np.concatenate([part for row in rows for part in (row, gap)][:-1], axis=0)
    write_image(args.out, picture, bits=8)


if __name__ == "__main__":
    main()
