import numpy as np
import pytest

from shared.data.source import Pair
from train_torch.ensemble.fitting import error_covariance, fit_weights, weights_of

pytestmark = pytest.mark.torch


def test_weights_raise_the_mean_psnr_as_a_numerical_search_finds():
    """Pairs of unlike noise, members that err alike on all: nothing to be shrunk toward equal weights for."""
    rng = np.random.default_rng(0)
    pairs, outputs = [], {}
    for name, level in (("a", 0.02), ("b", 0.1), ("c", 0.05)):
        hr = rng.integers(60, 196, (64, 48, 3), dtype=np.uint8)
        lr = rng.integers(0, 256, (8, 6, 3), dtype=np.uint8)
        pairs.append(Pair(name=name, lr=lr, hr=hr))
        noise = rng.normal(0, level, (2, 64, 48, 3))
        outputs[lr.tobytes()] = [hr / 255 + noise[0], hr / 255 + 0.6 * noise[1] + 0.3 * noise[0]]
    members = [lambda x, i=i: outputs[np.rint(x * 255).astype(np.uint8).tobytes()][i] for i in range(2)]

    def psnr(weight: float) -> float:
        inside = (slice(2, -2), slice(2, -2))
        errors = [
            (weight * a + (1 - weight) * b - p.hr / 255)[inside] for p in pairs for a, b in [outputs[p.lr.tobytes()]]
        ]
        return float(np.mean([-10 * np.log10(np.mean(e**2)) for e in errors]))

    best = max(np.linspace(0, 1, 1001), key=psnr)
    covariances = np.stack([error_covariance(outputs[p.lr.tobytes()], p, 2) for p in pairs])
    assert weights_of(covariances, camera_spread=0)[0] == pytest.approx(best, abs=0.03)
    assert fit_weights(members, pairs, crop=2) == weights_of(covariances)
    assert 0.1 < best < 0.4


def test_members_that_differ_by_less_than_cameras_do_get_equal_weights():
    rng = np.random.default_rng(1)
    common = rng.normal(0, 0.05, 30000)
    errors = common + rng.normal(0, 0.01, (3, 30000)) * [[1.0], [1.2], [1.4]]
    covariances = np.stack([part @ part.T / 10000 for part in np.split(errors, 3, axis=1)])
    assert weights_of(covariances) == pytest.approx([1 / 3] * 3, abs=1e-6)
    assert weights_of(covariances, camera_spread=0)[0] > 0.34
    spoilt = errors * [[1.0], [1.0], [3.0]]
    covariances = np.stack([part @ part.T / 10000 for part in np.split(spoilt, 3, axis=1)])
    assert weights_of(covariances)[2] < 0.01


def test_one_pair_alone_gives_equal_weights():
    assert weights_of(np.diag([1.0, 9.0])[None]) == pytest.approx([0.5, 0.5])


def test_the_border_does_not_count():
    hr = np.full((12, 12, 3), 100, np.uint8)
    image = hr / 255
    spoilt = image.copy()
    spoilt[:2] = 1
    pair = Pair(name="a", lr=hr[:6, :6], hr=hr)
    assert error_covariance([spoilt], pair, 2)[0, 0] < 1e-12
    assert error_covariance([spoilt], pair, 0)[0, 0] > 0.01
