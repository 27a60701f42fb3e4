"""A proxy: one network trained briefly from its seed's weights, then scored. Same arguments and machine, same bytes."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import paddle
from numpy.typing import NDArray

from search_paddle.config import ProxyConfig
from search_paddle.network import Network, build, get_weights
from search_paddle.proxy.losses import proxy_loss
from search_paddle.proxy.validation import Enlarge, Evaluation, evaluate
from shared.data.pack import Pack
from shared.data.sampler import PatchSampler
from shared.errors import NonFiniteError, WorkError
from shared.network.architecture import ArchSpec
from shared.schedule import learning_rate

WORST_LOSS = 0.5  # L1 of a uniform grey of 0.5, whatever the image in [0, 1]
CURVE_POINTS = 20  # at which loss and weights are looked at


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ProxyResult:
    """What became of a proxy.

    Attributes:
        status: "stopped" where a validation score was below its floor; "failed" where numbers stopped being finite, or the output
            is worse than a grey image.
        reason: why stopped or failed, and when; None: done.
        score: mean of `psnr_rgb`, dB; None: not done.
        psnr_rgb: validation pair -> dB, of the last validation; empty: failed.
        validation: (steps done, mean dB) at each validation.
        residuals: as in Evaluation, of the last validation; None: failed.
        curve: (step, loss) at about twenty steps, first and last included; finite losses only.
        steps: steps done.
        seed: the one given.
        seconds: wall time, s.
    """

    status: Literal["done", "stopped", "failed"]
    reason: str | None
    score: float | None
    psnr_rgb: dict[str, float]
    validation: tuple[tuple[int, float], ...]
    residuals: NDArray[np.int16] | None
    curve: tuple[tuple[int, float], ...]
    steps: int
    seed: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, but for the residuals."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "residuals"}


def train_proxy(
    spec: ArchSpec,
    pack_path: Path,
    config: ProxyConfig,
    seed: int,
    *,
    floors: Sequence[tuple[int, float]] = (),
    inspect: Callable[[Enlarge], None] | None = None,
) -> ProxyResult:
    """Train a network for `config.steps` steps of Adam and score it on the validation pairs.

    The dual models of a closed loop are left out: the proxy ranks the network that will enlarge images.

    Args:
        spec: of the pack's scale.
        pack_path: HDF5 pack.
        config: of the training.
        seed: of the initial weights and of the order of crops.
        floors: (steps done, dB): a validation score below it at that step ends the training.
        inspect: called with the trained network, if the training came to its end.

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
                inspect(_enlarger(network))
        except WorkError as error:
            reason, run.last = str(error), None
    status: Literal["done", "stopped", "failed"] = "failed" if reason else "stopped" if run.stopped else "done"
    return ProxyResult(
        status=status,
        reason=reason or run.stopped,
        score=run.last.score if status == "done" and run.last is not None else None,
        psnr_rgb={} if run.last is None else run.last.psnr_rgb,
        validation=tuple(run.validation),
        residuals=None if run.last is None else run.last.residuals,
        curve=tuple(run.curve),
        steps=run.steps,
        seed=seed,
        seconds=time.monotonic() - started,
    )


@dataclass(kw_only=True, slots=True)
class _Run:
    """What a training has noted so far; it outlives an error that ends the training."""

    curve: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    steps: int = 0
    last: Evaluation | None = None
    stopped: str | None = None


def _train(network: Network, sampler: PatchSampler, config: ProxyConfig, floors: dict[int, float], run: _Run) -> None:
    """Train in place, noting in `run`.

    Raises:
        NonFiniteError: names the step, and the loss, the weight or the node.
        WorkError: the last loss is worse than that of a grey image.
    """
    trainable = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    optimizer = paddle.optimizer.Adam(learning_rate=0.0, beta1=0.9, beta2=0.999, epsilon=1e-8, parameters=trainable)
    looked_at, validated_after = _curve_steps(config.steps), frozenset(config.validated_after)
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
        if step in looked_at:
            run.curve.append((step, value))
            check_weights(network, step, config)
        if run.steps in validated_after:
            _check_end(network, lr, value, step, config)
            _validate(network, sampler.pack, config, floors, run)
            if run.stopped is not None:
                return


def _validate(network: Network, pack: Pack, config: ProxyConfig, floors: dict[int, float], run: _Run) -> None:
    """Score the network as it is, and say so in `run.stopped` if that is too little to go on."""
    run.last = evaluate(_enlarger(network), pack, config)
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
    """Refuse weights that are not finite. The loss does not tell: Paddle's ReLU turns NaN into 0.

    Raises:
        NonFiniteError: names the first such weight.
    """
    for name, array in get_weights(network).items():
        if not np.isfinite(array).all():
            raise NonFiniteError(f"step {step}: {name} is not finite; {_remedy(config)}")


@paddle.no_grad()
def check_activations(network: Network, lr: paddle.Tensor, step: int, config: ProxyConfig) -> None:
    """Refuse a network that overflows inside: what ReLU makes 0 leaves weights, loss and output finite, and a score of 6 dB.

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


def _enlarger(network: Network) -> Enlarge:
    """The network as a function of one float32 (h, w, 3) image in [0, 1]."""
    network.eval()

    @paddle.no_grad()
    def enlarge(image: np.ndarray) -> np.ndarray:
        batch = paddle.to_tensor(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
        return network(batch).numpy()[0].transpose(1, 2, 0)

    return enlarge
