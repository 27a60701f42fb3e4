"""A comparison as one HTML page that needs nothing else: verdict, heat maps of node by pass and of node by step, worst arrays.

A cell's colour is the error as a share of what is allowed, in powers of ten; teal is within, orange to magenta beyond.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from shared.network.families import build_graph, family_of
from shared.network.primitives import INPUT
from shared.report import numbers
from shared.report.charts import Chart, make_chart
from shared.report.svg import ACCENT, INK, MUTED, SERIES
from shared.report.templates import FOLDER, environment
from shared.spec import software
from weights_convert.compare.compare import Answer, Question
from weights_convert.compare.judge import COLUMNS
from weights_convert.compare.limits import FLOAT32_DRIFT, FLOAT64_GATE
from weights_convert.compare.training_check import Curves
from weights_convert.compare.verdict import verdict

MOST_CELLS = 180  # in a direction; a cell of a deeper network is the worst of several nodes
MOST_ROWS = 40
# Upper ends of the classes of log10(error / allowed), and their colours; the last class has no end
CLASSES = (-3.0, -2.0, -1.0, 0.0, 2.0, 5.0)
ROW_NAMES = {"held": "weights held", "weights": "weight gradients", "isolated weights": "isolated weight grads"}
COLOURS = ("#dcefe9", "#9fd3c6", "#57ab9b", "#1f7d70", "#eda04f", "#d1582f", "#a3185b")
UNJUDGED = "#b9bdb9"
LABELS = ("< 10⁻³", "10⁻³ – 10⁻²", "10⁻² – 0.1", "0.1 – 1: allowed", "1 – 100: too large", "100 – 10⁵", "> 10⁵")
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectView:
    """What the page shows of one subject: its entry of the verdict, and its charts."""

    entry: dict[str, object]
    passes: Chart | None
    curve: Chart | None
    steps: Chart | None


def render_page(questions: Sequence[Question], answers: Sequence[Answer]) -> str:
    """The page of questions of one case."""
    value = verdict(questions, answers)
    subjects = [
        SubjectView(
            entry=entry,
            passes=_passes_chart(question, answer, f"passes-{index}"),
            curve=_curve_chart(question, answer, f"curve-{index}"),
            steps=_steps_chart(question, answer, f"steps-{index}"),
        )
        for index, (entry, question, answer) in enumerate(zip(value["subjects"], questions, answers, strict=True))
    ]
    templates = environment({"error": error_text, "count": numbers.count})
    return templates.get_template("comparison.html").render(
        value=value,
        title=family_of(questions[0].case.spec).title,
        subjects=subjects,
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        legend=list(zip(COLOURS, LABELS, strict=True)),
        unjudged=UNJUDGED,
        software=software(),
    )


def error_text(value: float | None) -> str:
    """Two digits and a power of ten: 1.3·10⁻¹⁵; a dash where there is no number."""
    if value is None:
        return numbers.MISSING
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}·10{raised}" if int(exponent) else mantissa


def shares(question: Question, answer: Answer) -> tuple[list[str], Floats]:
    """Nodes, `input` first, and error / allowed (columns of COLUMNS, nodes): NaN not compared, -1 without a limit."""
    names = [INPUT, *(node.name for node in build_graph(question.case.spec).nodes)]
    index = {name: position for position, name in enumerate(names)}
    found = np.full((len(COLUMNS), len(names)), np.nan)
    for item in answer.measurements:
        share = _share(item.error, item.limit)
        cell = COLUMNS.index(item.column), index[item.node]
        found[cell] = np.fmax(found[cell], share)
    return names, found


def _share(error: float, limit: float) -> float:
    if np.isinf(limit) and np.isfinite(error):
        return -1.0
    if limit == 0:
        return 0.0 if error == 0 else np.inf
    return error / limit


def _passes_chart(question: Question, answer: Answer, name: str) -> Chart | None:
    if not answer.measurements:
        return None
    names, found = shares(question, answer)
    rows = [column for column, row in zip(COLUMNS, found, strict=True) if not np.isnan(row).all()]
    found = found[~np.isnan(found).all(axis=1)]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _heat(axes, _binned(found, MOST_CELLS, axis=1), len(names))
        axes.set_yticks(range(len(rows)), [ROW_NAMES.get(row, row) for row in rows])
        axes.set_xlabel("node, from the input to the image")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))

    wrong = int((found > 1).any(axis=0).sum())
    height = 60 + 26 * len(rows)
    description = f"Heat map of {len(names)} nodes by pass: {wrong} nodes exceed what is allowed."
    return make_chart(draw, name, description, heights=(height, height))


def _curve_chart(question: Question, answer: Answer, name: str) -> Chart | None:
    if answer.curves is None:
        return None
    gate = FLOAT64_GATE if question.case.dtype == "float64" else FLOAT32_DRIFT
    lines: list[tuple[str, Curves, str, object]] = [("weights", answer.curves, ACCENT, "solid")]
    if answer.control is not None:
        lines.append(("weights, same framework on two threads", answer.control, SERIES[1], (0, (5, 2))))
    loss = answer.curves.loss

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for label, found, colour, dashes in lines:
            axes.plot(_visible(found.weight), color=colour, linestyle=dashes, label=label)
        axes.plot(range(1, len(loss) + 1), _visible(loss), color=SERIES[2], linestyle=(0, (1.5, 1.5)), label="loss")
        axes.axhline(gate, color=INK, linewidth=1, linestyle=(0, (4, 3)), label="weights: allowed")
        axes.set(yscale="log", xlabel="step", ylabel="scaled difference")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        figure.legend(loc="outside upper left", ncols=2, handlelength=2.2)

    description = f"Difference of the trainings over {len(loss)} steps, weights and loss."
    return make_chart(draw, name, description, heights=(300, 300))


def _steps_chart(question: Question, answer: Answer, name: str) -> Chart | None:
    if answer.curves is None:
        return None
    gate = FLOAT64_GATE if question.case.dtype == "float64" else FLOAT32_DRIFT
    order = [name for name in build_graph(question.case.spec).weight_shapes() if name in answer.curves.weights]
    names = [*order, *(name for name in answer.curves.weights if name not in order)]  # dual models last
    found = np.stack([answer.curves.weights[key] for key in names]) / gate
    steps = found.shape[1] - 1
    rows = _binned(found, MOST_ROWS, axis=0)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _heat(axes, _binned(rows, MOST_CELLS, axis=1), steps)
        per_row = len(names) / len(rows)
        ticks = np.unique(np.linspace(0, len(rows) - 1, 8).round().astype(int))
        axes.set_yticks(ticks, [_short(names[int(tick * per_row)]) for tick in ticks])
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))

    height = 80 + 9 * len(rows)
    return make_chart(draw, name, f"Heat map of {len(names)} weights by {steps} steps.", heights=(height, height))


def _heat(axes: Axes, found: Floats, length: int) -> None:
    """Cells over the range 0 … length; row 0 on top."""
    axes.imshow(
        _colours(found), aspect="auto", interpolation="none", extent=(-0.5, length + 0.5, len(found) - 0.5, -0.5)
    )
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(length=0)
    axes.hlines(np.arange(1, len(found)) - 0.5, -0.5, length + 0.5, color=MUTED, linewidth=0.4, alpha=0.5)


def _colours(found: Floats) -> Floats:
    """(rows, columns, 4) in [0, 1]; transparent where nothing was compared."""
    palette = np.array([to_rgb(colour) for colour in (*COLOURS, UNJUDGED)])
    with np.errstate(divide="ignore", invalid="ignore"):
        classes = np.searchsorted(CLASSES, np.log10(np.maximum(found, 0)))
    classes = np.where(found == -1, len(COLOURS), np.minimum(classes, len(COLOURS) - 1))
    opaque = ~np.isnan(found)
    return np.concatenate([palette[classes], opaque[:, :, None]], axis=2)


def _binned(found: Floats, most: int, *, axis: int) -> Floats:
    """At most `most` cells along an axis, each the largest of its share of it."""
    length = found.shape[axis]
    if length <= most:
        return found
    starts = np.unique(np.linspace(0, length, most, endpoint=False).astype(int))
    return np.asarray(np.fmax.reduceat(found, starts, axis=axis))


def _visible(errors: Floats) -> Floats:
    """On a logarithmic height: an exact 0 stands at the bottom, what is not finite is left out."""
    return np.where(np.isfinite(errors), np.maximum(errors, 1e-18), np.nan)


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"{name[:9]}…{name[-16:]}"
