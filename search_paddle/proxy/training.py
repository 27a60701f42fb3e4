"""A proxy: a short training of one network from its initial weights, and its score. Same arguments and machine, same bytes."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import paddle
from numpy.typing import NDArray

from search_paddle.config import ProxyConfig
from search_paddle.network import Network, build, get_weights
from search_paddle.proxy.losses import proxy_loss
from search_paddle.proxy.validation import ProxyScores, validate
from shared.data.pack import Pack
from shared.data.sampler import PatchSampler
from shared.data.validation import Upscale
from shared.errors import NonFiniteError, WorkError
from shared.network.architecture import ArchSpec
from shared.records.trial import ProxyResult, Status
from shared.schedule import learning_rate

WORST_LOSS = 0.5  # L1 of a uniform grey of 0.5, whatever the image in [0, 1]
CURVE_POINTS = 20  # steps at which loss and weights are recorded and checked


def train_proxy(
    spec: ArchSpec,
    pack_path: Path,
    config: ProxyConfig,
    seed: int,
    *,
    floors: Sequence[tuple[int, float]] = (),
    inspect: Callable[[Upscale], None] | None = None,
) -> tuple[ProxyResult, NDArray[np.int16] | None]:
    """Train a network for `config.steps` steps of Adam and score it on the validation pairs.

    Dual models are left out: the proxy ranks the network that will upscale images.

    Args:
        spec: of the pack's scale.
        pack_path: HDF5 pack.
        config: of the training.
        seed: of the initial weights and of the order of crops.
        floors: (steps done, dB): a validation score below it at that step ends the training.
        inspect: called with the trained network, unless it failed or was stopped.

    Returns:
        The result without a SHA-256 of residuals, and the residuals of the last validation (`ProxyScores`); None: it failed.

    Raises:
        PairError: the pack cannot be read, or a crop does not fit its images.
    """
    started = time.monotonic()
    run = _Run()
    reason = None
    with Pack(pack_path) as pack:
        network = build(spec, seed=seed)
        sampler = PatchSampler(
            pack, split="train", patch=config.patch, batch=config.batch, seed=seed, augment=config.augment
        )
        try:
            _train(network, sampler, config, dict(floors), run)
            if inspect is not None and run.stopped is None:
                inspect(_as_function(network))
        except WorkError as error:
            reason, run.last = str(error), None
    status: Status = "failed" if reason else "stopped" if run.stopped else "done"
    result = ProxyResult(
        status=status,
        reason=reason or run.stopped,
        score=run.last.score if status == "done" and run.last is not None else None,
        psnr_rgb={} if run.last is None else run.last.psnr_rgb,
        validation=tuple(run.validation),
        curve=tuple(run.curve),
        steps=run.steps,
        seed=seed,
        seconds=time.monotonic() - started,
    )
    return result, None if run.last is None else run.last.residuals


@dataclass(kw_only=True, slots=True)
class _Run:
    """What a training has noted so far; it outlives an error that ends the training."""

    curve: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    steps: int = 0
    last: ProxyScores | None = None
    stopped: str | None = None


def _train(network: Network, sampler: PatchSampler, config: ProxyConfig, floors: dict[int, float], run: _Run) -> None:
    """Train in place, noting in `run`.

    Raises:
        NonFiniteError: names the step, and the loss, the weight or the node.
        WorkError: the last loss is worse than that of a grey image.
    """
    trainable = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    optimizer = paddle.optimizer.Adam(learning_rate=0.0, beta1=0.9, beta2=0.999, epsilon=1e-8, parameters=trainable)
    recorded, validated_after = _curve_steps(config.steps), frozenset(config.validated_after)
    network.train()
    for step in range(config.steps):
        optimizer.set_lr(learning_rate(step, config))
        lr, hr = (paddle.to_tensor(images) for images in sampler.batch(step))
        loss = proxy_loss(network(lr), hr, config)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        value = float(loss.numpy())
        if not math.isfinite(value):
            raise NonFiniteError(f"step {step}: loss is {value}; {_remedy(config)}")
        run.steps = step + 1
        if step in recorded:
            run.curve.append((step, value))
            check_weights(network, step, config)
        if run.steps in validated_after:
            _check_end(network, lr, value, step, config)
            _validate(network, sampler.pack, config, floors, run)
            if run.stopped is not None:
                return


def _validate(network: Network, pack: Pack, config: ProxyConfig, floors: dict[int, float], run: _Run) -> None:
    """Score the network as it is. Where the score is below the floor, `run.stopped` says why the training ends."""
    run.last = validate(_as_function(network), pack, config)
    network.train()
    score, floor = run.last.score, floors.get(run.steps, -math.inf)
    run.validation.append((run.steps, score))
    if score < floor and run.steps < config.steps:
        run.stopped = f"stopped after {run.steps} of {config.steps} steps: {score:.3f} dB, below {floor:.3f}"


def _check_end(network: Network, lr: paddle.Tensor, loss: float, step: int, config: ProxyConfig) -> None:
    check_activations(network, lr, step, config)
    if loss > WORST_LOSS + config.ms_ssim_weight:
        raise WorkError(
            f"step {step}: loss is {loss:.3g}, that of a grey image is at most {WORST_LOSS}: diverged; {_remedy(config)}"
        )


def check_weights(network: Network, step: int, config: ProxyConfig) -> None:
    """Refuse weights that are not finite. The loss may not show it: Paddle's ReLU turns NaN into 0 on some CPUs.

    Args:
        network: in training.
        step: for the message, from 0.
        config: of the training, for the message.

    Raises:
        NonFiniteError: names the first such weight.
    """
    for name, array in get_weights(network).items():
        if not np.isfinite(array).all():
            raise NonFiniteError(f"step {step}: {name} is not finite; {_remedy(config)}")


@paddle.no_grad()
def check_activations(network: Network, lr: paddle.Tensor, step: int, config: ProxyConfig) -> None:
    """Refuse a network that overflows inside: where ReLU turns NaN into 0, weights, loss and output are finite all the same.

    Args:
        network: in training.
        lr: (n, 3, h, w), a batch.
        step: for the message, from 0.
        config: of the training, for the message.

    Raises:
        NonFiniteError: names the first such node.
    """
    for name, values in network.node_outputs(lr).items():
        if not np.isfinite(values.numpy()).all():
            raise NonFiniteError(f"step {step}: output of {name} is not finite; {_remedy(config)}")


def _remedy(config: ProxyConfig) -> str:
    return f"try a lower learning rate than {config.learning_rate}"


def _curve_steps(steps: int) -> frozenset[int]:
    """About twenty steps, evenly spread, the first and the last among them."""
    return frozenset(round(step) for step in np.linspace(0, steps - 1, min(CURVE_POINTS, steps)))


def _as_function(network: Network) -> Upscale:
    """The network as a function of one float32 (h, w, 3) image in [0, 1]."""
    network.eval()

    @paddle.no_grad()
    def upscale(image: np.ndarray) -> np.ndarray:
        batch = paddle.to_tensor(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
        return network(batch).numpy()[0].transpose(1, 2, 0)

    return upscale
