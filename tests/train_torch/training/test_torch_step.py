"""A step of training: Adam, running mean, gradient norm; and going on from a state bit for bit."""

import numpy as np
import pytest
import torch

from shared.errors import NonFiniteError
from shared.network.architecture import ArchSpec
from shared.schedule import ema_decay, learning_rate
from shared.spec import parse
from train_torch.config import TrainConfig
from train_torch.training.module import build_training_module, initial_training_weights
from train_torch.training.step import Training

pytestmark = pytest.mark.torch

SPECS = {
    "drn": {
        "family": "drn",
        "scale": 2,
        "features": 8,
        "blocks": 2,
        "stages": 2,
        "reduction": 4,
        "image_skip": "bicubic",
    },
    "rcan": {"family": "rcan", "scale": 3, "features": 8, "groups": 1, "blocks": 2, "reduction": 4},
    "dual_regression": {"family": "dual_regression", "scale": 4, "features": 4, "blocks": 1, "reduction": 4},
}
CONFIG = TrainConfig(steps=8, patch=12, batch=2, learning_rate=1e-3, ms_ssim_levels=2)


def _batch(spec: ArchSpec, step: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(step)
    lr = rng.random((2, 3, 12, 12), dtype=np.float32)
    return lr, np.ascontiguousarray(lr.repeat(spec.scale, 2).repeat(spec.scale, 3))


def _train(training: Training, spec: ArchSpec, start: int, stop: int) -> list[float]:
    return [training.advance(step, *_batch(spec, step)).loss for step in range(start, stop)]


def _assert_equal(a: Training, b: Training) -> None:
    for group, arrays in a.state().items():
        for name, array in arrays.items():
            assert np.array_equal(array, b.state()[group][name]), f"{group}.{name}"


@pytest.mark.parametrize("family", SPECS)
@pytest.mark.parametrize("channels_last", [True, False])
def test_going_on_from_a_state_changes_no_bit(family: str, channels_last: bool) -> None:
    spec = parse(SPECS[family])
    config = CONFIG.model_copy(update={"channels_last": channels_last})
    whole = Training(spec, config, initial_training_weights(spec, 0))
    losses = _train(whole, spec, 0, 8)
    first = Training(spec, config, initial_training_weights(spec, 0))
    _train(first, spec, 0, 4)
    second = Training(spec, config, initial_training_weights(spec, 1))
    second.restore(4, first.state())
    assert _train(second, spec, 4, 8) == losses[4:]
    _assert_equal(whole, second)


def test_control_forgetting_adams_step_changes_weights() -> None:
    spec = parse(SPECS["drn"])
    whole = Training(spec, CONFIG, initial_training_weights(spec, 0))
    _train(whole, spec, 0, 4)
    again = Training(spec, CONFIG, initial_training_weights(spec, 0))
    again.restore(0, whole.state())
    _train(whole, spec, 4, 5)
    _train(again, spec, 4, 5)
    with pytest.raises(AssertionError, match="weights"):
        _assert_equal(whole, again)


@pytest.mark.parametrize("family", SPECS)
def test_the_loss_falls(family: str) -> None:
    spec = parse(SPECS[family])
    training = Training(spec, CONFIG, initial_training_weights(spec, 0))
    losses = [training.advance(step % 8, *_batch(spec, 0)).loss for step in range(24)]
    assert losses[-1] < 0.9 * losses[0]


def test_first_step_is_adams_and_the_mean_follows() -> None:
    """Adam's first step moves every weight by rate · g / (|g| + eps): checked with gradients of a plain backward pass."""
    spec, weights = parse(SPECS["rcan"]), initial_training_weights(parse(SPECS["rcan"]), 0)
    config = CONFIG.model_copy(update={"ms_ssim_weight": 0.0, "channels_last": False})
    training = Training(spec, config, weights)
    lr, hr = _batch(spec, 0)
    report = training.advance(0, lr, hr)
    module = build_training_module(spec, weights)
    (module(torch.from_numpy(lr))[0][-1] - torch.from_numpy(hr)).abs().mean().backward()
    gradients = {name: p.grad.numpy() for name, p in module.network.named_parameters() if p.grad is not None}
    norm = np.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in gradients.values()))
    assert report.gradient_norm == pytest.approx(norm, rel=1e-5)
    decay = ema_decay(0, config.ema_decay)
    state = training.state()
    for name, gradient in gradients.items():
        expected = weights[name] - learning_rate(0, config) * gradient / (np.abs(gradient) + 1e-8)
        assert np.abs(state["weights"][name] - expected).max() <= 2e-5 * learning_rate(0, config) + 1e-7, name
        mean = decay * weights[name] + (1 - decay) * state["weights"][name]
        assert np.abs(state["average"][name] - mean).max() <= 1e-7, name


def test_frozen_mean_shifts_stay() -> None:
    spec = parse(SPECS["rcan"])
    training = Training(spec, CONFIG, initial_training_weights(spec, 0))
    _train(training, spec, 0, 3)
    for group in ("weights", "average"):
        for name in ("sub_mean.weight", "sub_mean.bias", "add_mean.weight", "add_mean.bias"):
            assert np.array_equal(training.state()[group][name], initial_training_weights(spec, 0)[name])
    assert "sub_mean.weight" not in training.state()["adam.first"]


def test_gradient_clip_bounds_the_joint_norm() -> None:
    spec = parse(SPECS["drn"])
    free = Training(spec, CONFIG, initial_training_weights(spec, 0))
    norm = free.advance(0, *_batch(spec, 0)).gradient_norm
    clipped = Training(spec, CONFIG.model_copy(update={"gradient_clip": norm / 2}), initial_training_weights(spec, 0))
    assert clipped.advance(0, *_batch(spec, 0)).gradient_norm == pytest.approx(norm)
    for name, moment in clipped.state()["adam.first"].items():
        assert np.allclose(2 * moment, free.state()["adam.first"][name], rtol=1e-4, atol=1e-9)


def test_no_running_mean_means_the_weights_themselves() -> None:
    spec = parse(SPECS["drn"])
    training = Training(spec, CONFIG.model_copy(update={"ema_decay": 0.0}), initial_training_weights(spec, 0))
    _train(training, spec, 0, 2)
    state = training.state()
    assert all(np.array_equal(array, state["average"][name]) for name, array in state["weights"].items())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_non_finite_step_changes_nothing(value: float) -> None:
    spec = parse(SPECS["drn"])
    training = Training(spec, CONFIG, initial_training_weights(spec, 0))
    _train(training, spec, 0, 2)
    before = training.state()
    lr, hr = _batch(spec, 2)
    hr[0, 0, 0, 0] = value
    with pytest.raises(NonFiniteError, match="expected finite numbers"):
        training.advance(2, lr, hr)
    for group, arrays in training.state().items():
        assert all(np.array_equal(array, before[group][name]) for name, array in arrays.items())


def test_bfloat16_keeps_losses_and_weights_in_float32() -> None:
    spec = parse(SPECS["drn"])
    exact, mixed = (
        Training(spec, CONFIG.model_copy(update={"precision": precision}), initial_training_weights(spec, 0))
        for precision in ("32-true", "bf16-mixed")
    )
    losses, approximate = _train(exact, spec, 0, 3), _train(mixed, spec, 0, 3)
    assert approximate == pytest.approx(losses, rel=0.02)
    assert approximate != losses
    assert {tensor.dtype for tensor in mixed.weights.values()} == {torch.float32}
