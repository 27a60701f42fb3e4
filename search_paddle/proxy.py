"""A proxy: one network trained briefly from its seed's weights, then scored. Same arguments and machine, same bytes."""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import paddle

from search_paddle.config import ProxyConfig
from search_paddle.losses import proxy_loss
from search_paddle.network import Network, build, get_weights
from search_paddle.validation import Enlarge, score_pairs
from shared.architecture import ArchSpec
from shared.data.pack import Pack
from shared.data.sampler import PatchSampler
from shared.errors import NonFiniteError, WorkError

WORST_LOSS = 0.5  # L1 of a uniform grey of 0.5, whatever the image in [0, 1]
CURVE_POINTS = 20  # at which loss and weights are looked at


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxyResult:
    """What became of a proxy.

    Attributes:
        status: "failed" where numbers stopped being finite, or the output is worse than a grey image.
        reason: which, and when; None: done.
        score: mean of `psnr_rgb`, dB; None: failed.
        psnr_rgb: validation pair -> dB.
        curve: (step, loss) at about twenty steps, first and last included; finite losses only.
        steps: steps done.
        seed: the one given.
        seconds: wall time, s.
    """

    status: Literal["done", "failed"]
    reason: str | None
    score: float | None
    psnr_rgb: dict[str, float]
    curve: tuple[tuple[int, float], ...]
    steps: int
    seed: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def train_proxy(spec: ArchSpec, pack_path: Path, config: ProxyConfig, seed: int) -> ProxyResult:
    """Train a network for `config.steps` steps of Adam and score it on the validation pairs.

    The dual models of a closed loop are left out: the proxy ranks the network that will enlarge images.

    Args:
        spec: of the pack's scale.
        pack_path: HDF5 pack.
        config: of the training.
        seed: of the initial weights and of the order of crops.

    Raises:
        PairError: the pack cannot be read, or a crop does not fit its images.
    """
    started = time.monotonic()
    curve: list[tuple[int, float]] = []
    scores: dict[str, float] = {}
    reason = None
    with Pack(pack_path) as pack:
        network = build(spec, seed=seed)
        sampler = PatchSampler(
            pack, split="train", patch=config.patch, batch=config.batch, seed=seed, augment=config.augment
        )
        try:
            _train(network, sampler, config, curve)
            scores = score_pairs(_enlarger(network), pack, config)
        except WorkError as error:
            reason = str(error)
    return ProxyResult(
        status="failed" if reason else "done",
        reason=reason,
        score=None if reason else float(np.mean(list(scores.values()))),
        psnr_rgb=scores,
        curve=tuple(curve),
        steps=curve[-1][0] + 1 if curve else 0,
        seed=seed,
        seconds=time.monotonic() - started,
    )


def learning_rate(step: int, config: ProxyConfig) -> float:
    """Rate in force during step `step` (from 0); it is set before the step.

    Warm-up, t < w:   r (t + 1) / w                                      (no step has rate 0)
    Cosine, t >= w:   r_min + (r - r_min) (1 + cos(π (t - w) / (T - w))) / 2

    Args:
        step: 0 <= step < config.steps (T).
        config: gives r, r_min, w (at most T - 1) and T.
    """
    highest, lowest, warmup = config.learning_rate, config.minimum_learning_rate, min(config.warmup, config.steps - 1)
    if step < warmup:
        return highest * (step + 1) / warmup
    progress = (step - warmup) / (config.steps - warmup)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * progress)) / 2


def _train(network: Network, sampler: PatchSampler, config: ProxyConfig, curve: list[tuple[int, float]]) -> None:
    """Train in place, noting losses in `curve`.

    Raises:
        NonFiniteError: names the step, and the loss, the weight or the node.
        WorkError: the last loss is worse than that of a grey image.
    """
    trainable = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    optimizer = paddle.optimizer.Adam(learning_rate=0.0, beta1=0.9, beta2=0.999, epsilon=1e-8, parameters=trainable)
    looked_at = _curve_steps(config.steps)
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
        if step in looked_at:
            curve.append((step, value))
            check_weights(network, step, config)
    check_activations(network, lr, step, config)
    if value > WORST_LOSS + config.ms_ssim_weight:
        raise WorkError(
            f"step {step}: loss is {value:.3g}, that of a grey image is at most {WORST_LOSS}: diverged; {_remedy(config)}"
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
