"""The score of an enlarger on the validation pairs of a pack. NumPy only: the bicubic baseline needs no framework."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from search_paddle.config import ProxyConfig
from shared.data.images import quantise, to_float
from shared.data.pack import Pack
from shared.errors import NonFiniteError
from shared.metrics import psnr_rgb
from shared.resize import bicubic_upscale

Enlarge = Callable[[np.ndarray], np.ndarray]  # (h, w, 3) float32 in [0, 1] -> (s*h, s*w, 3) float, nominally in [0, 1]

MOST_PSNR = 100.0  # dB, for an output that equals HR: infinity has no mean, and JSON has no infinity


def score_pairs(enlarge: Enlarge, pack: Pack, config: ProxyConfig) -> dict[str, float]:
    """PSNR-RGB of an enlarger, output rounded to 8 bits, by validation pair.

    Args:
        enlarge: what is judged.
        pack: gives the validation pairs.
        config: which pairs, which centre crop of them, and how much border is left out.

    Returns:
        Pair -> dB, at most 100.

    Raises:
        NonFiniteError: an output holds NaN or infinity; names the pair.
    """
    crop = pack.scale if config.crop is None else config.crop
    scores = {}
    for name in chosen_pairs(pack.pairs("validation"), config.validation_pairs):
        lr, hr = centre(pack.lr(name), pack.hr(name), pack.scale, config.validation_patch)
        sr = enlarge(to_float(lr))
        if not np.isfinite(sr).all():
            raise NonFiniteError(
                f"{name}: the output is not finite; try a lower learning rate than {config.learning_rate}"
            )
        scores[name] = min(psnr_rgb(quantise(sr), hr, crop=crop), MOST_PSNR)
    return scores


def bicubic_score(pack_path: Path, config: ProxyConfig) -> float:
    """Mean PSNR-RGB of the a = -0.5 cubic on the same pairs, dB."""
    with Pack(pack_path) as pack:
        scale = pack.scale
        scores = score_pairs(lambda lr: bicubic_upscale(lr, scale), pack, config)
    return float(np.mean(list(scores.values())))


def chosen_pairs(names: tuple[str, ...], count: int | None) -> tuple[str, ...]:
    """`count` of the names, evenly spread; all of them for None or where there are no more."""
    if count is None or count >= len(names):
        return names
    return tuple(names[index * len(names) // count] for index in range(count))


def centre(lr: np.ndarray, hr: np.ndarray, scale: int, side: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The middle of a pair, at most `side` LR px high and wide; all of it for None."""
    if side is None:
        return lr, hr
    top, left = (max(size - side, 0) // 2 for size in lr.shape[:2])
    return (
        lr[top : top + side, left : left + side],
        hr[top * scale : (top + side) * scale, left * scale : (left + side) * scale],
    )
