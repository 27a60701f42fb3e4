"""The README's picture: LR, bicubic, ensemble and HR of two test photographs of `make demo`, labelled.

.venv/bin/python -m benchmarks.demo_figure runs/demo/ablation docs/demo.png

Each row is the window of its photograph in which the ensemble gains most over bicubic; PSNR is that of the window.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from shared.images.pixels import read_image
from shared.images.stream import write_image
from shared.metrics import psnr_rgb
from shared.report.crops import best_window, squared_gain
from shared.report.read import ExampleFiles, read_runs

COLUMNS = ("lr", "bicubic", "ensemble", "hr")
SIDE, ZOOM, GAP, LABEL = 108, 2, 8, 22  # HR px of a window, pixel repetition, px between windows, px of a line of text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ablation", type=Path, help="folder of gpnas-sr ablate")
    parser.add_argument("out", type=Path, help="the picture")
    parser.add_argument("--pairs", nargs="+", default=["chelsea_1", "coffee_1"], metavar="NAME")
    args = parser.parse_args()
    ablation = read_runs([args.ablation]).ablations[0]
    examples = {example.name: example for example in ablation.examples}
    rows = [_row(examples[name], ablation.table.scale, ablation.table.crop) for name in args.pairs]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, dtype=np.uint8)
    write_image(args.out, np.concatenate([part for row in rows for part in (row, gap)][:-1]), bits=8)


def _row(example: ExampleFiles, scale: int, crop: int) -> np.ndarray:
    """The four windows of one photograph beside each other, uint8 (height, width, 3)."""
    images = {name: read_image(example.pictures[name]).pixels for name in COLUMNS}
    images["lr"] = images["lr"].repeat(scale, axis=0).repeat(scale, axis=1)
    gain = squared_gain(images["bicubic"], images["ensemble"], images["hr"])
    window = best_window(gain, step=scale, border=crop, side=SIDE)
    parts = {name: window.cut(image) for name, image in images.items()}
    labelled = []
    for name in COLUMNS:
        text = name.upper() if name in ("lr", "hr") else f"{name}, {psnr_rgb(parts[name], parts['hr']):.2f} dB"
        print(example.name, f"window {window.left},{window.top}", text)
        labelled += [_labelled(parts[name], text), np.full((LABEL + ZOOM * window.side, GAP, 3), 255, dtype=np.uint8)]
    return np.concatenate(labelled[:-1], axis=1)


def _labelled(pixels: np.ndarray, text: str) -> np.ndarray:
    """The window, each pixel repeated, under a line of text."""
    large = pixels.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    picture = Image.new("RGB", (large.shape[1], large.shape[0] + LABEL), "white")
    ImageDraw.Draw(picture).text((0, 2), text, fill="black", font=ImageFont.load_default(size=15))
    picture.paste(Image.fromarray(large), (0, LABEL))
    return np.asarray(picture)


if __name__ == "__main__":
    main()
