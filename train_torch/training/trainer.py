"""Trains one member, from its spec to its weights file; goes on from its checkpoint where there is one.

`train_torch.training.step` holds the arithmetic of a step. Here is what surrounds it: data, checkpoints, validation, logs,
interruption.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from shared.data.pack import Pack
from shared.data.sampler import PatchSampler
from shared.errors import NonFiniteError, UsageError
from shared.progress import Progress, track
from shared.records.training_log import BestValidation, LogLine
from train_torch.background import read_ahead
from train_torch.config import TrainConfig
from train_torch.device import memory_errors
from train_torch.network import build
from train_torch.training.checkpoint import State, Validation, better, load_checkpoint, save_checkpoint
from train_torch.training.interruption import Interruption
from train_torch.training.logs import MemberLog
from train_torch.training.member import MemberTask, TrainedMember, finish_member, identity, starting_weights
from train_torch.training.module import ordered
from train_torch.training.step import StepReport, Training
from train_torch.training.validation import score, upscaler


def make_sampler(pack: Pack, config: TrainConfig) -> PatchSampler:
    """The training crops of a pack.

    Raises:
        UsageError: no pair to train on, or one smaller than the crop.
    """
    return PatchSampler(
        pack, split="train", patch=config.patch, batch=config.batch, seed=config.seed, augment=config.augment
    )


def train_member(task: MemberTask, interruption: Interruption) -> TrainedMember:
    """Train one member, or what is left of its training.

    Raises:
        KeyboardInterrupt: the interruption was requested; the state is saved, the same call goes on from it.
        NonFiniteError: loss, gradient or an output is not finite; names the samples, the last checkpoint stays.
        OutOfMemoryError: the device has no room for a step, or for a whole validation image.
        UsageError: crop, loss, spec and data do not fit, or the folder holds another training.
    """
    with ExitStack() as stack:
        stack.enter_context(task.out.locked(task.id))
        if interruption.requested:
            raise KeyboardInterrupt
        stack.enter_context(_threads(task.config.threads))
        session = _open(task, stack.enter_context(Pack(task.pack)))
        tensorboard = task.out.tensorboard(task.id) if task.config.tensorboard else None
        log = stack.enter_context(MemberLog(task.out.log(task.id), tensorboard, step=session.step))
        progress = stack.enter_context(track(task.config.steps, task.id, initial=session.step))
        _run(session, log, progress, interruption)
        session.save()
        return finish_member(task, session.identity, session.state())


@dataclass(kw_only=True)
class _Session:
    """A training under way: what it is, and how far it got."""

    task: MemberTask
    pack: Pack
    identity: dict[str, Any]
    training: Training
    sampler: PatchSampler
    step: int = 0
    last: Validation | None = None
    best: Validation | None = None
    saved_at: float = field(default_factory=time.monotonic)

    def state(self) -> State:
        """What a checkpoint holds."""
        return State(step=self.step, arrays=self.training.state(), last=self.last, best=self.best)

    def save(self) -> None:
        """Write the checkpoint."""
        save_checkpoint(self.task.out.checkpoint(self.task.id), self.state(), self.identity)
        self.saved_at = time.monotonic()

    def is_save_due(self) -> bool:
        """By steps, or by time."""
        config = self.task.config
        return self.step % config.checkpoint_every == 0 or time.monotonic() - self.saved_at >= config.checkpoint_seconds

    def validate(self) -> None:
        """Score the EMA of the weights."""
        spec, config, training = self.task.spec_file.spec, self.task.config, self.training
        weights = {name: array for name, array in training.averaged_weights().items() if not name.startswith("dual.")}
        device = training.fabric.device
        network = ordered(build(spec, weights=weights).to(device), training.memory_format)
        with memory_errors(
            f"{spec.id}: a whole validation image", "prepare the pack with smaller pictures for validation"
        ):
            psnr_rgb = score(upscaler(network, device), self.pack, config.validation_pairs)
        self.last = Validation(step=self.step, psnr_rgb=psnr_rgb)
        self.best = better(self.best, self.last)


@dataclass(slots=True)
class _Pace:
    """Time since the last log line."""

    started: float = field(default_factory=time.monotonic)
    steps: int = 0

    def seconds_per_step(self) -> float:
        return (time.monotonic() - self.started) / max(self.steps, 1)


def _open(task: MemberTask, pack: Pack) -> _Session:
    """A new training, or the one the checkpoint holds."""
    config, spec = task.config, task.spec_file.spec
    if spec.scale != pack.scale:
        raise UsageError(
            f"{task.id}: made for x{spec.scale}, got data of x{pack.scale}; take a spec and a pack of the same scale"
        )
    config.check_scale(pack.scale)
    session = _Session(
        task=task,
        pack=pack,
        identity=identity(task, pack),
        training=Training(spec, config, starting_weights(task)),
        sampler=make_sampler(pack, config),
    )
    state = load_checkpoint(task.out.checkpoint(task.id), session.identity)
    if state is not None:
        session.training.restore(state.step, state.arrays)
        session.step, session.last, session.best = state.step, state.last, state.best
    return session


def _run(session: _Session, log: MemberLog, progress: Progress, interruption: Interruption) -> None:
    """All steps that are left."""
    config = session.task.config
    pace = _Pace()
    with closing(read_ahead(range(session.step, config.steps), session.sampler.batch)) as batches:
        for step, batch in batches:
            report = _advance(session, step, *batch.result())
            session.step = step + 1
            pace.steps += 1
            validates = session.step % config.validate_every == 0 or session.step == config.steps
            if validates or session.step % config.log_every == 0:
                seconds = pace.seconds_per_step()
                if validates:
                    session.validate()
                log.write(_line(session, report, seconds, validated=validates))
                pace = _Pace()
            progress.advance(1, _note(session, report))
            if session.is_save_due():
                session.save()
            if interruption.requested and session.step < config.steps:
                session.save()
                raise KeyboardInterrupt


def _advance(session: _Session, step: int, lr: np.ndarray, hr: np.ndarray) -> StepReport:
    """One step; its failures say what was being trained on."""
    config = session.task.config
    try:
        with memory_errors(f"{session.task.id}: batch {config.batch} of patch {config.patch}", "lower one of them"):
            return session.training.advance(step, lr, hr)
    except NonFiniteError as error:
        names = ", ".join(dict.fromkeys(session.sampler.names(step)))
        raise NonFiniteError(
            f"{session.task.id}, step {step}: {error}; the batch was cut from {names}. The last checkpoint is kept. "
            "Look at these pairs, or train into another folder with a lower learning_rate or a gradient_clip"
        ) from None


def _line(session: _Session, report: StepReport, seconds: float, *, validated: bool) -> LogLine:
    """A log line. Losses are those of this one step."""
    best = session.best
    return LogLine(
        step=session.step,
        loss=report.loss,
        terms=report.terms,
        learning_rate=report.learning_rate,
        gradient_norm=report.gradient_norm,
        psnr_rgb=session.last.psnr_rgb if validated and session.last else None,
        best=None if best is None else BestValidation(step=best.step, psnr_rgb=best.psnr_rgb),
        seconds_per_step=round(seconds, 4),
    )


def _note(session: _Session, report: StepReport) -> str:
    """What stands beside the progress bar."""
    text = f"loss {report.loss:.4f}, rate {report.learning_rate:.1e}"
    if session.last is None or session.best is None:
        return text
    return f"{text}, PSNR {session.last.psnr_rgb:.2f} dB (best {session.best.psnr_rgb:.2f} at {session.best.step})"


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """CPU threads of torch within the block."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
