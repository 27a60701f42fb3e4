"""The three-level ensemble: one file for each level, `pipeline.py` joins them, `loading.py` loads the members."""

from train_torch.ensemble.loading import load_suite
from train_torch.ensemble.pipeline import upscale, upscale_one

__all__ = ["load_suite", "upscale", "upscale_one"]
