"""One member of a suite as a piece of work: what it starts from, and the weights file it ends in."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from shared.data.pack import Pack
from shared.errors import UsageError
from shared.files import sha256_file
from shared.identity import differences
from shared.network.cost import cost
from shared.network.families import dual_graphs
from shared.records.weights import load_weights, save_weights
from shared.spec import SpecFile, software
from train_torch.config import BOOKKEEPING, DEFAULTS, TrainConfig
from train_torch.losses.dual_regression import MIDDLE_TARGET
from train_torch.training.checkpoint import Arrays, State
from train_torch.training.module import initial_training_weights
from train_torch.training.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberTask:
    """One training.

    Attributes:
        spec_file: the architecture.
        init: weights file to start from; None: weights drawn from the seed.
        pack: the data.
        out: folder of the run.
        config: how to train.
    """

    spec_file: SpecFile
    init: Path | None
    pack: Path
    out: RunFolder
    config: TrainConfig

    @property
    def id(self) -> str:
        """Id of the spec."""
        return self.spec_file.id


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedMember:
    """A finished training: its weights file and what it reached (validation PSNR-RGB of the averaged weights, dB)."""

    id: str
    steps: int
    psnr_rgb: float
    weights: Path
    parameters: int

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON value."""
        return {
            "id": self.id,
            "steps": self.steps,
            "psnr_rgb": self.psnr_rgb,
            "weights": str(self.weights),
            "parameters": self.parameters,
        }


def identity(task: MemberTask, pack: Pack) -> dict[str, Any]:
    """What decides the weights of a finished training, apart from the number of threads and the versions of libraries."""
    config = task.config.model_dump(exclude=set(BOOKKEEPING))
    init = None if task.init is None else sha256_file(task.init)
    return {"id": task.id, "config": config, "data_sha256": pack.sha256, "init_sha256": init}


def starting_weights(task: MemberTask) -> Arrays:
    """Initial weights: drawn from the seed, or those of `task.init`, where dual models that the file lacks are drawn.

    Raises:
        WeightsError: the file does not belong to the spec.
    """
    spec = task.spec_file.spec
    drawn = initial_training_weights(spec, task.config.seed)
    return drawn if task.init is None else {**drawn, **load_weights(task.init).weights}


def finished_member(task: MemberTask) -> TrainedMember | None:
    """The member, if its weights file is there.

    Raises:
        UsageError: the file comes from another configuration or other data; names what differs.
    """
    path = task.out.weights(task.id)
    if not path.exists():
        return None
    provenance = load_weights(path).provenance
    with Pack(task.pack) as pack:
        differing = differences(provenance["training"], identity(task, pack), DEFAULTS)
    if differing:
        raise UsageError(f"{path}: trained otherwise ({'; '.join(differing)}); use another output folder")
    return _trained(task, provenance["psnr_rgb"])


def finish_member(task: MemberTask, training: Mapping[str, Any], state: State) -> TrainedMember:
    """Write the weights file of a training at its end: the EMA of its weights.

    Args:
        task: the member.
        training: its `identity`.
        state: after the last step and its validation.
    """
    assert state.last is not None
    assert state.best is not None
    provenance = {
        "weights": "ema" if task.config.ema_decay > 0 else "raw",
        "ema_decay": task.config.ema_decay,
        "steps": state.step,
        "seed": task.config.seed,
        "psnr_rgb": state.last.psnr_rgb,
        "best": {"step": state.best.step, "psnr_rgb": state.best.psnr_rgb},
        "training": dict(training),
        "threads": torch.get_num_threads(),
        "software": software(),
    }
    if dual_graphs(task.spec_file.spec):
        provenance["middle_target"] = MIDDLE_TARGET
    save_weights(task.out.weights(task.id), state.arrays["average"], task.spec_file.spec, provenance)
    return _trained(task, state.last.psnr_rgb)


def _trained(task: MemberTask, psnr_rgb: float) -> TrainedMember:
    return TrainedMember(
        id=task.id,
        steps=task.config.steps,
        psnr_rgb=psnr_rgb,
        weights=task.out.weights(task.id),
        parameters=cost(task.spec_file.spec).parameters,
    )
