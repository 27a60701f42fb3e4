"""Compares networks and trainings of two frameworks, or of one framework and the NumPy reference, through files.

    cases ──► reference outputs ──► workers, one framework each: whole network, every node alone, training ──► judge

Several questions share their processes: each framework is started once for all of them.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from threadpoolctl import threadpool_limits

from shared.network.families import build_graph
from weights_convert.compare.case import Case, write_case
from weights_convert.compare.dump.record import Arrays, DumpJob
from weights_convert.compare.dump.reference import dump_gradients, dump_outputs
from weights_convert.compare.judge import Measurement, Noise, blame, compare_dumps, first_divergence, measure_noise
from weights_convert.compare.recipe import Recipe
from weights_convert.compare.reference_training import dump_training
from weights_convert.compare.training_check import Curves, StepFault, curves, step_faults, trajectory_faults
from weights_convert.compare.workers import Worker, WorkerKind, run_workers

Against = Literal["reference", "torch", "paddle"]
FRAMEWORKS: tuple[Literal["torch", "paddle"], ...] = ("torch", "paddle")
CONTROL_THREADS = 2  # of the runs that tell noise; they do without oneDNN, too


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is judged.

    Attributes:
        kind: the framework; `module` and `onnx` are a user's own network, judged by its outputs.
        network: `module:function` or `file.py:function`, (graph, weights) -> network, to judge another network than the
            project's own; of `module`: () or (weights) -> torch module; of `onnx`: the file.
        training: likewise, (spec, weights, recipe, dtype) -> training.
    """

    kind: WorkerKind
    network: str | None = None
    training: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Does the subject compute on this case what the thing computes that it is held against?

    Attributes:
        case: network, weights, image, precision.
        subject: what is judged.
        against: what it is held against.
        recipe: of a training to compare too; None: none.
        passes: whether the network itself is compared.
        control: whether the subject also runs on two threads without oneDNN, where noise counts (float32, trainings).
    """

    case: Case
    subject: Subject
    against: Against = "reference"
    recipe: Recipe | None = None
    passes: bool = True
    control: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What was found.

    Attributes:
        subject: what was judged.
        measurements: of the network; empty where only a training was compared.
        blamed: one for each guilty node.
        divergence: first disagreement of the whole network, and its direction; None: none.
        curves: difference of the trainings from the target's; None: no training.
        control: of the subject's own training on another number of threads from itself; None: no training.
        steps: faults of the training; of the isolated check where it found any.
    """

    subject: Subject
    measurements: tuple[Measurement, ...] = ()
    blamed: tuple[Measurement, ...] = ()
    divergence: tuple[Measurement, Literal["forward", "backward"]] | None = None
    curves: Curves | None = None
    control: Curves | None = None
    steps: tuple[StepFault, ...] = ()

    @property
    def equal(self) -> bool:
        """No node and no step is to blame."""
        return not self.blamed and not self.steps


def compare(questions: Sequence[Question]) -> list[Answer]:
    """Answer several questions at once, in order.

    Raises:
        UsageError: a function, module or file that a subject names is none.
        WorkError: a worker failed.
    """
    # One thread for NumPy, too: the workers take the cores
    with tempfile.TemporaryDirectory(prefix="gpnas-sr-compare-") as name, threadpool_limits(1):
        work = _Work(folder=Path(name))
        asked = [_add(work, question) for question in questions]
        for files in work.cases.values():
            dump_outputs(files.case, files.outputs)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(run_workers, work.workers(), work.folder)
            work.dump_references()
            running.result()
        return [_answer(item) for item in asked]


@dataclass(frozen=True, kw_only=True, slots=True)
class _CaseFiles:
    """A case and the files of its reference."""

    case: Case
    stem: Path

    @property
    def path(self) -> Path:
        return self.stem.with_suffix(".case")

    @property
    def outputs(self) -> Path:
        return self.stem.with_suffix(".outputs")

    @property
    def gradients(self) -> Path:
        return self.stem.with_suffix(".gradients")

    @property
    def rounded(self) -> tuple[Path, Path]:
        """Outputs and gradients of the reference rounded to float32."""
        return self.stem.with_suffix(".rounded-outputs"), self.stem.with_suffix(".rounded-gradients")


@dataclass(kw_only=True, slots=True)
class _Work:
    """What some questions need: a case, a training or a job that several need is there once."""

    folder: Path
    cases: dict[int, _CaseFiles] = field(default_factory=dict)
    trainings: dict[tuple[str, Recipe], tuple[Case, Path]] = field(default_factory=dict)
    jobs: dict[tuple[WorkerKind, int, bool], dict[str, DumpJob]] = field(default_factory=dict)

    def files(self, case: Case) -> _CaseFiles:
        """Those of a case."""
        if id(case) not in self.cases:
            files = _CaseFiles(case=case, stem=self.folder / f"case-{len(self.cases)}")
            write_case(files.path, case)
            self.cases[id(case)] = files
        return self.cases[id(case)]

    def reference_training(self, case: Case, recipe: Recipe) -> Path:
        """File of the reference's training."""
        path = self.folder / f"training-{len(self.trainings)}.reference"
        return self.trainings.setdefault((case.spec.id, recipe), (case, path))[1]

    def dump(self, kind: WorkerKind, job: DumpJob, *, threads: int = 1, onednn: bool = True) -> Path:
        """File of a job, which is added where it is new."""
        known = self.jobs.setdefault((kind, threads, onednn), {})
        path = self.folder / f"{kind}-{threads}-{onednn}-{len(known)}.dump"
        return known.setdefault(job.model_dump_json(exclude={"dump"}), job.model_copy(update={"dump": path})).dump

    def workers(self) -> list[Worker]:
        """One process for each framework and setting."""
        return [
            Worker(kind=kind, threads=threads, onednn=onednn, jobs=tuple(jobs.values()))
            for (kind, threads, onednn), jobs in self.jobs.items()
        ]

    def dump_references(self) -> None:
        """All of the reference that workers do not wait for."""
        for files in self.cases.values():
            dump_gradients(files.case, files.outputs, files.gradients)
            if files.case.dtype == "float32":
                outputs, gradients = files.rounded
                dump_outputs(files.case, outputs, rounded=True)
                dump_gradients(files.case, outputs, gradients, rounded=True)
        for (_, recipe), (case, path) in self.trainings.items():
            dump_training(case.spec, recipe, path)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """A question and the files that answer it. `control`: the subject in another setting; None where none is needed."""

    question: Question
    files: _CaseFiles
    dump: Path
    control: Path | None
    target: tuple[Path, ...]


def _add(work: _Work, question: Question) -> _Asked:
    """Add what a question needs to the work."""
    files, subject, recipe = work.files(question.case), question.subject, question.recipe
    is_ours = subject.kind in FRAMEWORKS
    base = DumpJob(case=files.path, dump=Path(), chained=question.passes, recipe=recipe)
    own = base.model_copy(update={"network": subject.network, "training": subject.training})
    isolated = {"values": files.outputs if question.passes and is_ours else None}
    dump = work.dump(subject.kind, own.model_copy(update=isolated))
    again = own.model_copy(update={"chained": question.passes and question.case.dtype == "float32"})
    control = None
    if is_ours and question.control and (again.chained or recipe is not None):
        control = work.dump(subject.kind, again, threads=CONTROL_THREADS, onednn=False)
    target: tuple[Path, ...] = (files.outputs, files.gradients)
    if question.against != "reference":
        target = (work.dump(question.against, base),)
    elif recipe is not None:
        target = (*target, work.reference_training(question.case, recipe))
    return _Asked(question=question, files=files, dump=dump, control=control, target=target)


def _answer(asked: _Asked) -> Answer:
    with Arrays(asked.dump) as dump, Arrays(*asked.target) as target, ExitStack() as stack:
        control = None if asked.control is None else stack.enter_context(Arrays(asked.control))
        answer = Answer(subject=asked.question.subject)
        if asked.question.passes:
            answer = _judge_network(answer, asked, dump, target, control)
        if asked.question.recipe is not None:
            answer = _judge_training(answer, asked.question, asked.question.recipe, dump, target, control)
        return answer


def _judge_network(answer: Answer, asked: _Asked, dump: Arrays, target: Arrays, control: Arrays | None) -> Answer:
    case = asked.question.case
    graph = build_graph(case.spec)
    noise = _noise(asked, dump, control) if case.dtype == "float32" else None
    found = compare_dumps(graph, dump, target, case.weights, case.dtype, noise)
    return replace(
        answer,
        measurements=tuple(found),
        blamed=tuple(blame(graph, found)),
        divergence=first_divergence(graph, found),
    )


def _noise(asked: _Asked, dump: Arrays, control: Arrays | None) -> Noise:
    with Arrays(asked.files.outputs, asked.files.gradients) as reference, Arrays(*asked.files.rounded) as rounded:
        pairs = [(rounded, reference)] if control is None else [(rounded, reference), (control, dump)]
        return measure_noise(reference, pairs)


def _judge_training(
    answer: Answer, question: Question, recipe: Recipe, dump: Arrays, target: Arrays, control: Arrays | None
) -> Answer:
    """Trajectories first; where they part, and wherever a step errs, the isolated check names the step."""
    spec, dtype = question.case.spec, question.case.dtype
    found = curves(dump, target)
    apart = trajectory_faults(found, dtype)
    suspects = [min(fault.step, recipe.steps) - 1 for fault in apart if fault.step > 0]
    faults = step_faults(dump, spec, recipe, dtype, suspects=suspects)
    return replace(
        answer,
        curves=found,
        control=None if control is None else curves(control, dump),
        steps=tuple(faults or apart),
    )
