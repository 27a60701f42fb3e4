"""The dual regression loss against its formula in NumPy, and its one optimiser against one optimiser per model."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from shared.network.architecture import ArchSpec
from shared.network.families import build_graph as graph_of
from shared.network.families import dual_graphs
from shared.resize import resize
from shared.schedule import learning_rate
from shared.spec import parse
from train_torch.config import TrainConfig
from train_torch.losses.dual_regression import loss_terms, reduce, term_weights
from train_torch.losses.reconstruction import total
from train_torch.network import build_graph, get_weights
from train_torch.training.module import build_training_module, initial_training_weights
from train_torch.training.step import Training

pytestmark = pytest.mark.torch

# b, f, d of the dual regression loss, as read in the repositories guoyongcs/DRN and PaddleGAN
PUBLISHED = {"guoyongcs": (1.0, 0.1, 0.1), "paddlegan": (0.1, 1.0, 0.1)}


def _spec(scale: int) -> ArchSpec:
    return parse({"family": "dual_regression", "scale": scale, "features": 4, "blocks": 1, "reduction": 4})


def _batch(scale: int, side: int = 12, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.random((2, 3, side, side), dtype=np.float32),
        rng.random((2, 3, scale * side, scale * side), dtype=np.float32),
    )


def _reduced_in_numpy(image: np.ndarray, factor: int) -> np.ndarray:
    return np.stack([resize(one.transpose(1, 2, 0), Fraction(1, factor)).transpose(2, 0, 1) for one in image])


def _expected(
    images: list[np.ndarray], mapped: list[np.ndarray], lr: np.ndarray, hr: np.ndarray, weighting: str
) -> float:
    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.abs(a.astype(np.float64) - b).mean())

    between, first, other = PUBLISHED[weighting]
    if len(images) == 2:
        return distance(images[1], hr) + between * distance(images[0], lr) + first * distance(mapped[0], lr)
    middle = _reduced_in_numpy(hr, 2)
    primary = distance(images[2], hr) + between * (distance(images[1], middle) + distance(images[0], lr))
    return primary + first * distance(mapped[0], lr) + other * distance(mapped[1], middle)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("weighting", PUBLISHED)
def test_loss_is_the_published_one(scale: int, weighting: str) -> None:
    lr, hr = _batch(scale)
    config = TrainConfig(ms_ssim_weight=0.0, dual_weighting=weighting)  # type: ignore[arg-type]  # one of the two names
    module = build_training_module(_spec(scale), initial_training_weights(_spec(scale), 0))
    with torch.no_grad():
        images, mapped = module(torch.from_numpy(lr))
        terms = loss_terms(images, mapped, torch.from_numpy(lr), torch.from_numpy(hr), config)
        loss = total(terms, term_weights(config, len(mapped))).item()
    arrays = [image.numpy() for image in images], [image.numpy() for image in mapped]
    assert loss == pytest.approx(_expected(*arrays, lr, hr, weighting), rel=1e-5)
    other = "paddlegan" if weighting == "guoyongcs" else "guoyongcs"
    assert loss != pytest.approx(_expected(*arrays, lr, hr, other), rel=1e-2)


def test_every_image_and_every_dual_model_has_its_term() -> None:
    lr, hr = _batch(4)
    module = build_training_module(_spec(4), initial_training_weights(_spec(4), 0))
    images, mapped = module(torch.from_numpy(lr))
    assert [tuple(image.shape[2:]) for image in images] == [(12, 12), (24, 24), (48, 48)]
    assert [tuple(image.shape[2:]) for image in mapped] == [(12, 12), (24, 24)]
    config = TrainConfig(ms_ssim_levels=3)
    terms = loss_terms(images, mapped, torch.from_numpy(lr), torch.from_numpy(hr), config)
    assert set(terms) == set(term_weights(config, 2)) == {"l1", "ms_ssim", "image.0", "image.1", "dual.0", "dual.1"}


def test_dual_models_do_not_start_equal() -> None:
    weights = initial_training_weights(_spec(4), 7)
    name = "dual_module.1.weight"
    assert not np.array_equal(weights[f"dual.0.{name}"], weights[f"dual.1.{name}"])


@pytest.mark.parametrize("factor", [2, 3])
def test_middle_target_is_the_antialiased_reduction(factor: int) -> None:
    _, hr = _batch(4)
    ours = reduce(torch.from_numpy(hr).double(), factor).numpy()
    assert np.abs(ours - _reduced_in_numpy(hr, factor)).max() <= 1e-14
    plain = hr[:, :, ::factor, ::factor]
    assert np.abs(ours - plain).max() > 0.1


def _separate_optimisers(spec: ArchSpec, config: TrainConfig, steps: int) -> dict[str, np.ndarray]:
    """The published way: an Adam for the network, and one for each dual model."""
    weights = initial_training_weights(spec, 0)
    network = build_graph(graph_of(spec), {n: a for n, a in weights.items() if not n.startswith("dual.")})
    duals = [
        build_graph(graph, {n.removeprefix(f"dual.{i}."): a for n, a in weights.items() if n.startswith(f"dual.{i}.")})
        for i, graph in enumerate(dual_graphs(spec))
    ]
    optimizers = [torch.optim.Adam([p for p in m.parameters() if p.requires_grad]) for m in (network, *duals)]
    for step in range(steps):
        lr, hr = map(torch.from_numpy, _batch(4, seed=step))
        images = network(lr)
        mapped = tuple(dual(image) for dual, image in zip(duals, images[1:], strict=True))
        loss = total(loss_terms(images, mapped, lr, hr, config), term_weights(config, len(duals)))
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = learning_rate(step, config)
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    found = get_weights(network)
    for i, dual in enumerate(duals):
        found |= {f"dual.{i}.{name}": array for name, array in get_weights(dual).items()}
    return found


def test_one_optimiser_takes_the_steps_of_one_per_model() -> None:
    spec, config = _spec(4), TrainConfig(steps=3, patch=12, ms_ssim_weight=0.0, channels_last=False)
    training = Training(spec, config, initial_training_weights(spec, 0))
    for step in range(3):
        training.advance(step, *_batch(4, seed=step))
    ours, theirs = training.state()["weights"], _separate_optimisers(spec, config, 3)
    assert set(ours) == set(theirs)
    moved = max(np.abs(ours[name] - initial_training_weights(spec, 0)[name]).max() for name in ours)
    assert moved > 1e-4
    assert max(np.abs(ours[name] - theirs[name]).max() for name in ours) <= 1e-3 * moved
