"""What range and mean shift do to a short training: one DRN, four ways, same steps, same crops, in turn.

    .venv/bin/python benchmarks/range_and_mean.py PACK.h5 --out runs/range_and_mean

PACK.h5: `gpnas-sr data prepare`. The score is PSNR-RGB on its validation pairs. Why the shipped search spaces set 255 and div2k.
"""

import argparse
import json
import subprocess
import sys
from itertools import product
from pathlib import Path

from shared.data.pack import Pack
from shared.files import write_bytes
from shared.records.archive import Archive
from shared.spec import make_spec_file, parse

NETWORK = {"family": "drn", "features": 32, "blocks": 3, "stages": 2, "image_skip": "bicubic"}
TRAINING = b"steps = 240\npatch = 32\nbatch = 4\nlearning_rate = 2e-3\nms_ssim_weight = 0.0\nvalidate_every = 240\nthreads = 1\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/range_and_mean"))
    args = parser.parse_args()
    with Pack(args.pack) as pack:
        scale = pack.scale
    write_bytes(args.out / "train.toml", TRAINING)
    for value_range, mean_shift in product((1, 255), ("none", "div2k")):
        fields = {**NETWORK, "scale": scale, "value_range": value_range, "mean_shift": mean_shift}
        path = Archive(args.out / "specs").add(make_spec_file(parse(fields)))
        words = ["train", path, "--data", args.pack, "--out", args.out / path.stem, "--config", args.out / "train.toml"]
        command = [sys.executable, "-m", "shared.cli.main", *map(str, words), "--json"]
        value = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        gain = value["members"][0]["psnr_rgb"] - value["bicubic_psnr_rgb"]
        print(f"value_range {value_range:3}  mean_shift {mean_shift:5}  {gain:+.3f} dB over bicubic", flush=True)


if __name__ == "__main__":
    main()
