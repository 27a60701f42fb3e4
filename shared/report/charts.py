"""The charts: search progress, predicted against measured, training curves. Each is drawn for wide and for narrow screens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from shared.records.training_log import LogLine
from shared.records.trial import Trial
from shared.report.summary import Calibration, Z, running_best
from shared.report.svg import ACCENT, INK, MUTED, SERIES, SURFACE, drawing, new_figure, to_svg

WIDE, NARROW = 720, 340  # CSS px, at which text has its true size
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (9, 3)), (0, (3, 1)))
SMOOTHED = 15  # logged steps in the running median of a loss curve
FENCE = 3.0  # scores so many interquartile ranges under the first quartile stand on the lower edge

Draw = Callable[[Figure], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """Two drawings of the same, for wide and for narrow screens, and what they show, in words."""

    wide: str
    narrow: str
    description: str


def search_chart(trials: Sequence[Trial], bicubic: float | None, *, name: str, families: Mapping[str, str]) -> Chart:
    """Score of each trial, the running best, failed and stopped trials, and the bicubic line.

    Args:
        trials: by number; at least one has a score.
        bicubic: dB, or None.
        name: unique on the page.
        families: family -> what the legend calls it.
    """
    scores = [trial.score for trial in trials if trial.score is not None]
    missing = {
        name: [trial.trial for trial in trials if trial.status == name] for name in ("failed", "stopped")
    }  # on the lower edge
    floor = _floor(scores)
    if bicubic is not None:  # the line to beat is always in sight
        floor = min(floor, bicubic - 0.12 * abs(max(scores) - bicubic))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _scores(axes, trials, families, floor)
        best = running_best(trials)
        axes.step(*zip(*best, strict=True), where="post", color=ACCENT, label="best so far")
        _baseline(axes, bicubic)
        low, high = axes.get_ylim()
        low, high = floor if np.isfinite(floor) else low, high + 0.04 * (high - low)
        for (status, numbers), marker in zip(missing.items(), ("x", "|"), strict=True):
            if numbers:
                axes.plot(numbers, [low] * len(numbers), marker, color=INK, markersize=7, label=status, clip_on=False)
        axes.set(ylim=(low, high), xlabel="trial", ylabel="validation PSNR-RGB, dB")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _legend(figure)

    counts = f"{len(missing['failed'])} failed" + (
        f", {len(missing['stopped'])} stopped early" * bool(missing["stopped"])
    )
    description = f"{len(trials)} trials, of which {counts}. The best score is {max(scores):.3f} dB" + (
        f", bicubic is {bicubic:.3f} dB." if bicubic is not None else "."
    )
    return make_chart(draw, name, description, heights=(320, 320))


def calibration_chart(fit: Calibration, *, name: str) -> Chart:
    """Predicted mean with its ±1.96 std bar against the measured score, and the diagonal."""
    limits = _square_limits(fit)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(limits, limits, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="predicted = measured")
        bars = axes.errorbar(
            fit.measured, fit.means, yerr=Z * fit.stds, fmt="o", color=ACCENT, ecolor=ACCENT, elinewidth=1.2, markersize=6,
            markeredgecolor=SURFACE, markeredgewidth=1, label="mean and ±1.96 std",
        )  # fmt: skip
        for lines in bars[2]:
            lines.set_alpha(0.45)
        axes.set(xlim=limits, ylim=limits, xlabel="measured, dB", ylabel="predicted, dB")
        axes.set_aspect("equal")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        _legend(figure)

    description = (
        f"Predicted against measured score of {len(fit.means)} trials: {fit.coverage:.0%} lie within their bars."
    )
    return make_chart(draw, name, description, widths=(460, NARROW), heights=(460, 380))


def training_chart(
    logs: Mapping[str, Sequence[LogLine]], bicubic: float | None, *, name: str, names: Mapping[str, str]
) -> Chart:
    """Loss (logarithmic) and validation PSNR of each member over steps.

    Args:
        logs: member id -> lines; at least one line in all.
        bicubic: on the same validation pairs, dB, or None.
        name: unique on the page.
        names: member id -> short name.
    """

    def draw(figure: Figure) -> None:
        is_wide = figure.get_figwidth() * 72 > NARROW
        loss, psnr = figure.subplots(1, 2) if is_wide else figure.subplots(2, 1)
        for index, (spec_id, lines) in enumerate(logs.items()):
            _curves(loss, psnr, lines, names.get(spec_id, spec_id), index)
        _baseline(psnr, bicubic)
        if all(line.loss > 0 for lines in logs.values() for line in lines):
            _logarithmic(loss)
        for axes, label in ((loss, "loss"), (psnr, "validation PSNR-RGB, dB")):
            axes.set_title(label, loc="left", fontsize=11, color=MUTED)
            axes.set_xlabel("step")
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        _legend(figure)

    last = {names.get(spec_id, spec_id): lines[-1] for spec_id, lines in logs.items() if lines}
    described = "; ".join(f"{member}: loss {line.loss:.4f} after {line.step} steps" for member, line in last.items())
    return make_chart(draw, name, f"Loss and validation PSNR of each member. {described}.", heights=(310, 560))


def make_chart(
    draw: Draw, name: str, description: str, *, heights: tuple[int, int], widths: tuple[int, int] = (WIDE, NARROW)
) -> Chart:
    """Draw a chart for wide and for narrow screens.

    Args:
        draw: draws it on an empty figure.
        name: unique on the page.
        description: what it shows, in words.
        heights: of the wide and of the narrow drawing, CSS px.
        widths: the same.
    """
    drawings = []
    for kind, width, height in zip(("wide", "narrow"), widths, heights, strict=True):
        with drawing():
            figure = new_figure(width, height)
            draw(figure)
        drawings.append(to_svg(figure, f"{name}-{kind}"))
    return Chart(wide=drawings[0], narrow=drawings[1], description=description)


def _square_limits(fit: Calibration) -> tuple[float, float]:
    """Both axes: all points, and their bars as long as these do not make the points a small cloud."""
    values = np.concatenate([fit.means, fit.measured])
    spread = float(np.ptp(values)) or 0.2
    ends = (float(np.min(fit.means - Z * fit.stds)), float(np.max(fit.means + Z * fit.stds)))
    low = min(float(values.min()) - 0.08 * spread, max(ends[0], float(values.min()) - 0.5 * spread))
    high = max(float(values.max()) + 0.08 * spread, min(ends[1], float(values.max()) + 0.5 * spread))
    return low, high


def _floor(scores: Sequence[float]) -> float:
    """The lowest score to show at its height: one net that learnt nothing must not flatten the rest."""
    low, high = np.quantile(scores, [0.25, 0.75])
    fence = float(low - FENCE * (high - low))
    inside = [score for score in scores if score >= fence]
    return -np.inf if len(inside) == len(scores) else min(inside) - 0.15 * (max(inside) - min(inside))


def _scores(axes: Axes, trials: Sequence[Trial], families: Mapping[str, str], floor: float) -> None:
    for index, (family, label) in enumerate(families.items()):
        points = [
            (each.trial, each.score)
            for each in trials
            if each.score is not None and each.architecture.get("family") == family
        ]
        shown = [(trial, score) for trial, score in points if score >= floor]
        if shown:
            axes.plot(
                *zip(*shown, strict=True), color=MUTED, marker=MARKERS[index % len(MARKERS)], markersize=7.5,
                markeredgecolor=SURFACE, linestyle="none", label=label,
            )  # fmt: skip
        for trial, score in points:
            if score < floor:
                axes.annotate(
                    f"↓ {score:.1f}", (trial, 0.0), xycoords=("data", "axes fraction"), textcoords="offset points",
                    xytext=(0, 4), ha="center", color=MUTED, fontsize=9,
                )  # fmt: skip


def _curves(loss: Axes, psnr: Axes, lines: Sequence[LogLine], label: str, index: int) -> None:
    colour, dashes = SERIES[index % len(SERIES)], DASHES[index % len(DASHES)]
    steps, losses = [line.step for line in lines], np.array([line.loss for line in lines])
    if len(lines) > 2 * SMOOTHED:
        loss.plot(steps, losses, color=colour, linewidth=1, alpha=0.25)
        losses = _running_median(losses)
    loss.plot(steps, losses, color=colour, linestyle=dashes, label=label)
    validated = [(line.step, line.psnr_rgb) for line in lines if line.psnr_rgb is not None]
    if validated:
        marker = "o" if len(validated) < 20 else ""
        psnr.plot(*zip(*validated, strict=True), color=colour, linestyle=dashes, marker=marker, markersize=4)


def _running_median(values: np.ndarray) -> np.ndarray:
    """Median of the window around each value, cut off at both ends."""
    half = SMOOTHED // 2
    padded = np.pad(values, half, constant_values=np.nan)
    return np.asarray(np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1))


def _logarithmic(axes: Axes) -> None:
    """A logarithmic height with plain decimals at 1, 2, 3 and 5: a loss rarely spans a decade."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _baseline(axes: Axes, bicubic: float | None) -> None:
    if bicubic is not None:
        axes.axhline(bicubic, color=INK, linewidth=1, linestyle=(0, (4, 3)), label="bicubic")


def _legend(figure: Figure) -> None:
    """One line of entries above the axes, each name once."""
    found = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    columns = 6 if figure.get_figwidth() * 72 > NARROW else 3
    figure.legend(
        found.values(),
        found.keys(),
        loc="outside upper left",
        ncols=min(columns, len(found)),
        handlelength=1.8,
        columnspacing=1.4,
    )
