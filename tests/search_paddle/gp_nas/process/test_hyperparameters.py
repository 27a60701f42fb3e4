"""The hyperparameters by name, and as a vector."""

import numpy as np
import pytest

from search_paddle.gp_nas.process.hyperparameters import FidelityScales, Hyperparameters, MaternScales

FIDELITY = FidelityScales(ratio=-0.2, log_discrepancy=7.0, log_checkpoint_noise=8.0)


def example(fidelity):
    materns = (
        MaternScales(log_outputscale=4.0, log_lengthscales=np.array([5.0, 5.5])),
        MaternScales(log_outputscale=6.0, log_lengthscales=np.zeros(0)),
    )
    return Hyperparameters(log_noise=1.0, log_trend=2.0, log_warping=3.0, materns=materns, fidelity=fidelity)


@pytest.mark.parametrize("fidelity", [None, FIDELITY])
def test_packing_and_unpacking_are_inverse_in_a_fixed_order(fidelity):
    """The order is fixed, since recorded searches draw hyperparameters by their place."""
    hyper = example(fidelity)
    expected = [1.0, 2.0, 3.0, 4.0, 5.0, 5.5, 6.0, *([] if fidelity is None else [-0.2, 7.0, 8.0])]
    assert hyper.pack().tolist() == expected
    vector = np.arange(len(expected)) / 8
    unpacked = hyper.unpack(vector)
    assert unpacked.pack().tolist() == vector.tolist()
    assert (unpacked.log_noise, unpacked.materns[1].log_outputscale) == (0.0, 0.75)
    assert (unpacked.fidelity is None) == (fidelity is None)


def test_noise_and_warping_are_what_their_logarithms_say():
    assert (example(None).noise, example(None).warping) == pytest.approx((np.exp(1.0), np.exp(3.0)))
