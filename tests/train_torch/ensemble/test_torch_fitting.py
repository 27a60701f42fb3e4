import numpy as np
import pytest

from shared.data.source import Pair
from train_torch.ensemble.fitting import error_covariance, fit_shares

pytestmark = pytest.mark.torch


def test_shares_of_images_are_those_of_least_squares():
    """Direct oracle: least squares over the stacked pixels of both pairs, border left out."""
    generator = np.random.default_rng(0)
    pairs, outputs = [], {}
    for name in ("a", "b"):
        hr = generator.integers(60, 196, (16, 12, 3), dtype=np.uint8)
        lr = generator.integers(0, 256, (8, 6, 3), dtype=np.uint8)
        pairs.append(Pair(name=name, lr=lr, hr=hr))
        noise = generator.normal(0, 0.1, (2, 16, 12, 3))
        outputs[lr.tobytes()] = [hr / 255 + noise[0], hr / 255 + 0.6 * noise[1] + 0.3 * noise[0]]
    members = [lambda x, i=i: outputs[np.rint(x * 255).astype(np.uint8).tobytes()][i] for i in range(2)]
    shares = fit_shares(members, pairs, crop=2)
    inside = (slice(2, -2), slice(2, -2))
    a, b, hr = (
        np.concatenate([part[inside].ravel() for part in parts])
        for parts in (
            [outputs[p.lr.tobytes()][0] for p in pairs],
            [outputs[p.lr.tobytes()][1] for p in pairs],
            [p.hr / 255 for p in pairs],
        )
    )
    best = min(np.linspace(0, 1, 100001), key=lambda w: float(np.sum((w * a + (1 - w) * b - hr) ** 2)))
    assert shares[0] == pytest.approx(best, abs=1e-4)
    assert 0.05 < shares[0] < 0.95


def test_the_border_does_not_count():
    hr = np.full((12, 12, 3), 100, np.uint8)
    image = hr / 255
    spoilt = image.copy()
    spoilt[:2] = 1
    pair = Pair(name="a", lr=hr[:6, :6], hr=hr)
    assert error_covariance([spoilt], pair, 2)[0, 0] < 1e-12
    assert error_covariance([spoilt], pair, 0)[0, 0] > 0.01
