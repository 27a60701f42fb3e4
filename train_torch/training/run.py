"""Trains a suite: its members in turn or in parallel processes. Then it writes the suite file."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from shared.data.pack import Pack
from shared.data.source import Pair
from shared.data.validation import spread
from shared.errors import NonFiniteError, OutOfMemoryError, UsageError, WorkError
from shared.files import write_json
from shared.identity import differences
from shared.records.archive import Archive
from shared.records.record import read_record
from shared.records.resolve import ANY, resolve, spec_file
from shared.records.suite import Member, Suite, write_suite
from shared.records.training_facts import TrainingFacts
from shared.records.weights import load_weights
from train_torch.config import BOOKKEEPING, DEFAULTS, TrainConfig
from train_torch.ensemble.fitting import fit_weights
from train_torch.network import build
from train_torch.training.distillation import distilled_pack
from train_torch.training.interruption import Interruption, interruptible
from train_torch.training.jobs import run_jobs
from train_torch.training.member import MemberTask, TrainedMember, finished_member
from train_torch.training.run_folder import RunFolder
from train_torch.training.trainer import make_sampler, train_member
from train_torch.training.validation import bicubic, score, upscaler

log = logging.getLogger("gpnas_sr")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedSuite:
    """A finished suite: its file, its members in order, and bicubic's mean PSNR-RGB on the validation pairs, dB."""

    path: Path
    members: tuple[TrainedMember, ...]
    bicubic_psnr_rgb: float

    def to_json(self) -> dict[str, Any]:
        """The value of `gpnas-sr train --json`."""
        return {
            "suite": str(self.path),
            "members": [member.to_json() for member in self.members],
            "bicubic_psnr_rgb": self.bicubic_psnr_rgb,
        }


def train_suite(
    names: Sequence[str | Path],
    *,
    pack: Path,
    out: Path,
    config: TrainConfig,
    jobs: int = 1,
    distill: Path | None = None,
) -> TrainedSuite:
    """Train every network that `names` stand for, and write the suite with the ensemble weights that the configuration asks for.

    A member whose weights file exists is not trained again. An unfinished one continues from its checkpoint. When a member
    fails, the others are still trained. Weights do not depend on `jobs` if `config.threads` is set.

    Args:
        names: run folders, suites, spec files, weights files, presets (see `resolve`).
        pack: HDF5 pack of pairs.
        out: folder of the run; may hold an earlier run of the same configuration and data.
        config: how to train.
        jobs: members trained at once, each in a process of its own; 1: in this process.
        distill: suite whose results are mixed into the targets (`distilled_pack`, kept in `out`); None: HR alone.

    Raises:
        UsageError: names, data and configuration do not fit each other, or what the folder holds.
        WorkError: a member failed; names each with its reason. No suite file is written.
        KeyboardInterrupt: interrupted; the states are saved, and the same call continues from them.
    """
    if jobs < 1:
        raise UsageError(f"jobs: got {jobs}, expected at least 1")
    folder = RunFolder(out)
    if distill is not None:
        with Pack(pack) as opened:
            pack = distilled_pack(opened, distill, folder.distilled, share=config.distill_share)
    with Pack(pack) as opened:
        tasks = [_task(member, pack, folder, config) for member in _members(names, opened.scale)]
        config.check_scale(opened.scale)
        make_sampler(opened, config)
        baseline = _record(folder, tasks, opened)
    for task in tasks:
        Archive(folder.archive).add(task.spec_file)
    members = _train_all(tasks, jobs)
    write_suite(folder.suite, _suite(folder, tasks, members, _ensemble_weights(tasks, members, config)))
    return TrainedSuite(path=folder.suite, members=tuple(members), bicubic_psnr_rgb=baseline)


def _members(names: Sequence[str | Path], scale: int) -> list[Member]:
    """The networks of all names, in order.

    Raises:
        UsageError: no name, a network of another scale than the data, or one network named twice.
    """
    if not names:
        raise UsageError(f"nothing to train: got no name, expected {ANY}")
    members = [member for name in names for member in resolve(name, scale=scale).members]
    times = Counter(member.spec.id for member in members)
    for spec in (member.spec for member in members):
        if spec.scale != scale:
            raise UsageError(f"{spec.id}: got data of x{scale}, expected x{spec.scale}")
        if times[spec.id] > 1:
            raise UsageError(f"{spec.id} is named {times[spec.id]} times; name each network once")
    return members


def _task(member: Member, pack: Path, folder: RunFolder, config: TrainConfig) -> MemberTask:
    if config.init == "source" and member.weights_path is None:
        raise UsageError(
            f"{member.spec.id}: init = 'source' with a source that has no weights; expected a trained suite, a weights "
            "file, or init = 'seed'"
        )
    init = member.weights_path if config.init == "source" else None
    return MemberTask(spec_file=spec_file(member), init=init, pack=pack, out=folder, config=config)


def _record(folder: RunFolder, tasks: Sequence[MemberTask], pack: Pack) -> float:
    """Write what the run is, or compare with what is recorded. Returns the bicubic baseline.

    Raises:
        UsageError: the folder holds another run; names what differs.
    """
    config = tasks[0].config
    settings: dict[str, Any] = {"config": config.model_dump(), "data_sha256": pack.sha256}
    ids = tuple(task.id for task in tasks)
    if folder.record.exists():
        recorded = read_record(TrainingFacts, folder.record)
        _check_same(folder, recorded, settings, ids)
        baseline = recorded.bicubic_psnr_rgb
    elif (other := [name for name in ("run.json", "suite.json") if (folder.path / name).exists()]) != []:
        raise UsageError(
            f"{folder.path}: holds {other[0]} of another run, expected a new folder or one of gpnas-sr train"
        )
    else:
        log.info("bicubic baseline on the validation pairs …")
        baseline = score(bicubic(pack.scale), pack, config.validation_pairs)
    facts = TrainingFacts(scale=pack.scale, members=ids, bicubic_psnr_rgb=baseline, **settings)
    write_json(folder.record, facts.to_json())
    return baseline


def _check_same(folder: RunFolder, recorded: TrainingFacts, settings: Mapping[str, Any], ids: Sequence[str]) -> None:
    there = {name: getattr(recorded, name) for name in settings}
    ignored = {f"config.{name}" for name in BOOKKEEPING}
    differing = [text for text in differences(there, settings, DEFAULTS) if text.partition(":")[0] not in ignored]
    if differing:
        raise UsageError(
            f"{folder.path}: holds a run with other settings ({'; '.join(differing)}); use another output folder"
        )
    missing = [spec_id for spec_id in recorded.members if spec_id not in ids]
    if missing:
        raise UsageError(
            f"{folder.path}: holds {', '.join(missing)} too, which is not named now; name it again or use another folder"
        )


def _train_all(tasks: Sequence[MemberTask], jobs: int) -> list[TrainedMember]:
    pending = [task for task in tasks if finished_member(task) is None]
    with interruptible() as interruption:
        parallel = jobs > 1 and len(pending) > 1
        failures = run_jobs(pending, jobs, interruption) if parallel else _in_turn(pending, interruption)
    if failures:
        reasons = "; ".join(f"{spec_id}: {reason}" for spec_id, reason in failures.items())
        raise WorkError(f"{len(failures)} of {len(tasks)} members failed: {reasons}")
    return [member for task in tasks if (member := finished_member(task)) is not None]


def _in_turn(tasks: Sequence[MemberTask], interruption: Interruption) -> dict[str, str]:
    """Train in this process. Returns id -> reason of members that failed."""
    failures: dict[str, str] = {}
    for task in tasks:
        try:
            train_member(task, interruption)
        except (NonFiniteError, OutOfMemoryError) as error:
            log.error("%s", error)
            failures[task.id] = str(error)
    return failures


def _ensemble_weights(
    tasks: Sequence[MemberTask], members: Sequence[TrainedMember], config: TrainConfig
) -> list[float]:
    """The members' weights in the mean, as `config.member_shares` says."""
    if config.member_shares == "equal" or len(members) == 1:
        return [1 / len(members)] * len(members)
    networks = [
        build(task.spec_file.spec, weights=load_weights(m.weights).network)
        for task, m in zip(tasks, members, strict=True)
    ]
    with Pack(tasks[0].pack) as pack:
        names = spread(pack.pairs("validation"), config.validation_pairs)
        pairs = (Pair(name=name, lr=pack.lr(name), hr=pack.hr(name)) for name in names)
        upscalers = [upscaler(network.eval(), torch.device("cpu")) for network in networks]
        return fit_weights(upscalers, pairs, crop=pack.scale, camera_spread=config.camera_spread)


def _suite(
    folder: RunFolder, tasks: Sequence[MemberTask], members: Sequence[TrainedMember], weights: Sequence[float]
) -> Suite:
    archive = Archive(folder.archive)
    return Suite(
        scale=tasks[0].spec_file.spec.scale,
        members=tuple(
            Member(
                spec=task.spec_file.spec,
                spec_path=archive.path(task.id),
                weights_path=member.weights,
                weight=weight,
            )
            for task, member, weight in zip(tasks, members, weights, strict=True)
        ),
    )
