"""`gpnas-sr check-tiling`: the whole image against tiles of several sizes, and the size that is safe."""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE = """
gpnas-sr check-tiling runs/train --data pack.h5
gpnas-sr check-tiling members/rcan.safetensors photo_1.png photo_2.png --tiles 64 128 256
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "networks",
        metavar="SPEC|SUITE|WEIGHTS",
        help="a suite file, folder with one, weights file, spec file, or preset (the last two with initial weights, not trained)",
    )
    parser.add_argument("images", nargs="*", type=Path, metavar="IMAGE", help="LR images to measure on")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="PACK.h5|DIR",
        help="instead of images a pack's validation pairs, or a folder of pairs; PSNR against HR is measured too",
    )
    parser.add_argument("--tiles", type=int, nargs="+", metavar="PX", help="sides, LR px (default 48 to 480)")
    parser.add_argument(
        "--overlap", type=int, default=32, metavar="PX", help="of neighbouring tiles, LR px (default 32)"
    )
    parser.add_argument("--scale", type=int, default=4, help="of a preset (default 4)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure every network on every image."""
    from shared.errors import UsageError

    if bool(args.images) == (args.data is not None):
        raise UsageError("got images and --data, or neither; expected LR images, or --data with pairs")

    from shared.data.source import open_pairs
    from shared.progress import track
    from train_torch.evaluation.tiling import (
        AGREEMENT,
        TILES,
        TOLERANCE,
        load_candidates,
        recommended,
        samples_of_files,
        samples_of_pairs,
        tile_drift,
    )

    candidates = load_candidates(args.networks, args.scale)
    scale = candidates[0].spec.scale
    pairs = None if args.data is None else open_pairs(args.data, scale=scale)
    networks: list[dict[str, Any]] = []
    with track(len(candidates), "measuring", unit="network") as progress:
        for candidate in candidates:
            samples = samples_of_files(args.images) if pairs is None else samples_of_pairs(pairs)
            rows = tile_drift(candidate.network, samples, scale, tiles=args.tiles or TILES, overlap=args.overlap)
            networks.append(
                {
                    "id": candidate.spec.id,
                    "trained": candidate.trained,
                    "global_pooling": candidate.pools,
                    "tiles": [row.to_json() for row in rows],
                    "recommended": recommended(rows),
                }
            )
            progress.advance(1, note=candidate.spec.id)
    sizes = [network["recommended"] for network in networks]
    return {
        "networks": networks,
        "overlap": args.overlap,
        "tolerance_db": TOLERANCE,
        "agreement_db": AGREEMENT,
        "recommended": None if None in sizes else max(sizes),
    }


def render(value: dict[str, Any]) -> str:
    """A table for each network, then the recommended size."""
    return "\n".join([*(line for network in value["networks"] for line in _table(network)), _advice(value)])


def _table(network: dict[str, Any]) -> list[str]:
    kind = "global pooling" if network["global_pooling"] else "no global pooling"
    first = "" if network["trained"] else ", initial weights: not trained"
    lines = [
        f"{network['id']} ({kind}{first})",
        "  tile  images  computed  agreement, dB   worst  largest difference  PSNR-RGB, tiled less whole",
    ]
    for row in network["tiles"]:
        line = f"  {row['tile']:4}  {row['images']:6}  {row['computed']:7.2f}x  {row['agreement_db']:13.2f}  "
        line += f"{row['worst_agreement_db']:6.2f}  {row['max_abs']:18.4f}  {_change(row)}"
        lines.append(line)
    return [*lines, ""]


def _change(row: dict[str, Any]) -> str:
    if row["change_db"] is None:
        return "no HR"
    interval = row["change_interval_db"]
    return f"{row['change_db']:+.4f} dB" + (f" ({interval[0]:+.4f} to {interval[1]:+.4f})" if interval else "")


def _advice(value: dict[str, Any]) -> str:
    tile, overlap = value["recommended"], value["overlap"]
    has_hr = value["networks"][0]["tiles"][0]["change_db"] is not None
    rule = f"loses at most {value['tolerance_db']} dB" if has_hr else f"agrees to {value['agreement_db']:.0f} dB"
    if tile is None:
        return f"no tile of these {rule}: take larger ones, or the whole image (--no-patch-ensemble)"
    return f"recommended: tiles of {tile} px or more (each size from there on {rule}): --patch {tile} --stride {tile - overlap}"
