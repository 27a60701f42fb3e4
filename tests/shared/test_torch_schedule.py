"""The cosine against torch's own scheduler."""

import pytest
import torch

from shared.schedule import learning_rate
from train_torch.config import TrainConfig

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("error", [0.0, 1e-3])
def test_cosine_is_torchs(error: float) -> None:
    config = TrainConfig(steps=50, learning_rate=2e-4, minimum_learning_rate=1e-7)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=config.learning_rate)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=1e-7)
    theirs, ours = [], []
    for step in range(50):
        theirs.append(scheduler.get_last_lr()[0])
        ours.append(learning_rate(step, config) * (1 + error))
        optimizer.step()
        scheduler.step()
    assert (ours == pytest.approx(theirs, rel=1e-9)) is (error == 0.0)
