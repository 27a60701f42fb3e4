"""Real trainings on Paddle, of a few steps."""

from pathlib import Path

import numpy as np
import paddle
import pytest

from search_paddle.config import ProxyConfig
from search_paddle.network import build, get_weights
from search_paddle.proxy.training import check_activations, check_weights, train_proxy
from search_paddle.proxy.validation import bicubic_score, validate
from shared.data.pack import Pack
from shared.data.sampler import PatchSampler
from shared.errors import NonFiniteError
from shared.schedule import learning_rate
from shared.spec import parse

pytestmark = pytest.mark.paddle

SPECS = {
    "drn": parse({"family": "drn", "scale": 2, "features": 16, "blocks": 1, "stages": 1, "image_skip": "bicubic"}),
    "rcan": parse({"family": "rcan", "scale": 2, "features": 16, "groups": 1, "blocks": 1, "image_skip": "bicubic"}),
    "dual_regression": parse(
        {"family": "dual_regression", "scale": 2, "features": 16, "blocks": 1, "image_skip": "bicubic"}
    ),
}
SHORT = ProxyConfig(steps=3, patch=12, batch=2, warmup=1)


@pytest.mark.parametrize("family", SPECS)
def test_every_family_is_trained_and_scored(tiny_pack: Path, family: str) -> None:
    result, _ = train_proxy(SPECS[family], tiny_pack, SHORT, 0)
    assert (result.status, result.reason, result.steps) == ("done", None, 3)
    assert sorted(result.psnr_rgb) == ["pair-1", "pair-3"]
    assert result.score == np.mean(list(result.psnr_rgb.values()))
    assert [step for step, _ in result.curve] == [0, 1, 2]


def test_one_seed_gives_the_same_bytes_and_another_seed_others(tiny_pack: Path) -> None:
    first, again, other = (train_proxy(SPECS["drn"], tiny_pack, SHORT, seed)[0] for seed in (0, 0, 1))
    assert (first.score, first.curve) == (again.score, again.curve)
    assert first.score != other.score


def test_first_losses_are_those_of_adam_by_hand(tiny_pack: Path) -> None:
    """Two steps with Adam's formula in NumPy on the gradients that Paddle gives."""
    config = SHORT.model_copy(update={"warmup": 0})
    network = build(SPECS["rcan"], seed=4)
    trainable = {name: p for name, p in network.named_parameters() if not p.stop_gradient}
    first = dict.fromkeys(trainable, 0.0)
    second = dict.fromkeys(trainable, 0.0)
    losses = []
    with Pack(tiny_pack) as pack:
        sampler = PatchSampler(pack, split="train", patch=12, batch=2, seed=4, augment=True)
        for step in range(3):
            lr, hr = (paddle.to_tensor(images) for images in sampler.batch(step))
            loss = (network(lr) - hr).abs().mean()
            losses.append(loss.item())
            loss.backward()
            for name, parameter in trainable.items():
                gradient = parameter.grad.numpy().astype(np.float64)
                first[name] = 0.9 * first[name] + 0.1 * gradient
                second[name] = 0.999 * second[name] + 0.001 * gradient**2
                m, v = first[name] / (1 - 0.9 ** (step + 1)), second[name] / (1 - 0.999 ** (step + 1))
                moved = parameter.numpy() - learning_rate(step, config) * m / (np.sqrt(v) + 1e-8)
                parameter.set_value(moved.astype(np.float32))
            network.clear_gradients()
    ours = [loss for _, loss in train_proxy(SPECS["rcan"], tiny_pack, config, 4)[0].curve]
    assert np.allclose(ours, losses, rtol=2e-6, atol=0)
    assert abs(losses[2] / losses[0] - 1) > 1e-3  # the weights have moved, or the test would see nothing


def test_training_with_a_bicubic_skip_ends_above_bicubic(tiny_pack: Path) -> None:
    config = ProxyConfig(steps=60, patch=16, batch=4, learning_rate=2e-3)
    result, _ = train_proxy(SPECS["rcan"], tiny_pack, config, 0)
    assert result.score > bicubic_score(tiny_pack, config) + 0.05
    assert len(result.curve) == 20
    assert result.curve[-1][0] == 59


def test_scores_and_errors_on_the_way_are_those_of_the_network_as_it_is_then(tiny_pack: Path) -> None:
    config = SHORT.model_copy(update={"steps": 6, "validations": 3})
    seen = []
    result, residuals = train_proxy(SPECS["rcan"], tiny_pack, config, 0, inspect=seen.append)
    assert [step for step, _ in result.validation] == [2, 4, 6]
    assert result.validation[-1] == (6, result.score)
    with Pack(tiny_pack) as pack:
        again = validate(seen[0], pack, config)
    assert again.psnr_rgb == result.psnr_rgb
    assert np.array_equal(again.residuals, residuals)
    assert residuals.shape == (16, 16, 16, 3)
    once, _ = train_proxy(SPECS["rcan"], tiny_pack, SHORT.model_copy(update={"steps": 6}), 0)
    assert (once.score, once.curve) == (result.score, result.curve)  # looking changes nothing
    assert once.validation == ((6, once.score),)


def test_a_training_below_its_floor_ends_there(tiny_pack: Path) -> None:
    config = SHORT.model_copy(update={"steps": 6, "validations": 3})
    whole, errors = train_proxy(SPECS["rcan"], tiny_pack, config, 0)
    (first, low), (second, high), _ = whole.validation
    seen = []
    stopped, errors_then = train_proxy(
        SPECS["rcan"], tiny_pack, config, 0, floors=[(first, low), (second, high + 0.01)], inspect=seen.append
    )
    assert (stopped.status, stopped.score, stopped.steps) == ("stopped", None, second)
    assert stopped.validation == whole.validation[:2]
    assert stopped.reason == f"stopped after 4 of 6 steps: {high:.3f} dB, below {high + 0.01:.3f}"
    assert errors_then.shape == errors.shape
    assert not seen
    assert train_proxy(SPECS["rcan"], tiny_pack, config, 0, floors=[(2, low), (6, 99.0)])[0].status == "done"


@pytest.mark.parametrize("rate", [1e30, 1e38])
def test_a_diverging_training_is_failed_with_its_reason(tiny_pack: Path, rate: float) -> None:
    config = ProxyConfig(steps=5, patch=12, batch=2, warmup=0, learning_rate=rate)
    result, residuals = train_proxy(SPECS["drn"], tiny_pack, config, 0)
    assert (result.status, result.score, result.psnr_rgb) == ("failed", None, {})
    assert (result.validation, residuals) == ((), None)
    assert result.reason.startswith("step ")
    assert "try a lower learning rate" in result.reason
    assert all(np.isfinite(loss) for _, loss in result.curve)


def test_dead_weights_behind_a_finite_loss_are_found() -> None:
    """Where Paddle's ReLU turns NaN into 0 (on AMD's CPUs), the loss of a dead network is finite: only its weights show it."""
    network = build(SPECS["drn"])
    weights = get_weights(network)
    name = next(name for name in weights if name.endswith("stages.0.0.weight"))
    check_weights(network, 0, SHORT)
    network.state_dict()[name].set_value(np.full_like(weights[name], np.nan))
    with pytest.raises(NonFiniteError, match=f"step 7: {name} is not finite"):
        check_weights(network, 7, SHORT)


def test_an_overflow_inside_is_found_whatever_relu_makes_of_it() -> None:
    """Paddle's ReLU turns NaN into 0 on some CPUs and keeps it on others: the output alone would not tell."""
    network = build(SPECS["drn"])
    image = paddle.ones([1, 3, 8, 8])
    check_activations(network, image, 0, SHORT)
    weights, name = network.state_dict(), "body.0.stages.0.0"
    weights["head.bias"].set_value(np.full(16, 4, np.float32))  # 4 x 3e38 overflows, and infinity - infinity is NaN
    weights[f"{name}.weight"].set_value(np.tile(np.array([3e38, -3e38], np.float32)[:, None, None], (16, 8, 3, 3)))
    check_weights(network, 0, SHORT)
    with pytest.raises(NonFiniteError, match=f"step 7: output of {name} is not finite"):
        check_activations(network, image, 7, SHORT)
