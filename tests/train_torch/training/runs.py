"""Small networks and a short training of them."""

from pathlib import Path
from typing import Any

from shared.records.archive import Archive
from shared.spec import make_spec_file, parse
from train_torch.config import TrainConfig

SCALE = 2
DRN = {"family": "drn", "scale": 2, "features": 4, "blocks": 1, "stages": 1, "reduction": 4, "image_skip": "bicubic"}
RCAN = {"family": "rcan", "scale": 2, "features": 4, "groups": 1, "blocks": 1, "reduction": 4, "image_skip": "bicubic"}
DUAL = {"family": "dual_regression", "scale": 2, "features": 4, "blocks": 1, "reduction": 4}
CONFIG = TrainConfig(
    steps=6,
    batch=2,
    patch=12,
    learning_rate=1e-3,
    ms_ssim_levels=2,
    validate_every=4,
    checkpoint_every=2,
    log_every=2,
    threads=1,
    tensorboard=False,
)


def spec_file(folder: Path, architecture: dict[str, Any]) -> Path:
    return Archive(folder).add(make_spec_file(parse(architecture), {"run": "test"}))
