import re

import numpy as np
import pytest

from shared.records.training_log import LogLine
from shared.records.trial import Trial
from shared.report.charts import calibration_chart, search_chart, training_chart
from shared.report.summary import calibration
from shared.report.svg import COLOURS, drawing, new_figure, to_svg


def trials(scores, *, predicted=True):
    return [
        Trial(
            trial=number,
            round=0,
            id="drn-x4-000000000000",
            point={},
            architecture={"family": "drn"},
            status="failed" if score is None else "done",
            reason="why" if score is None else None,
            score=score,
            bicubic=26.0,
            psnr_rgb={},
            predicted={"mean": score + 0.02, "std": 0.1} if predicted and score is not None else None,
            curve=(),
            steps=0,
            seed=0,
            seconds=0.0,
            elapsed=0.0,
            cost={},
        )
        for number, score in enumerate(scores)
    ]


def log_line(step, loss, psnr_rgb=None):
    return LogLine(
        step=step,
        loss=loss,
        terms={},
        learning_rate=1e-4,
        gradient_norm=0.1,
        psnr_rgb=psnr_rgb,
        best=None,
        seconds_per_step=0.1,
    )


def charts():
    lines = [log_line(10 * step, 1 / step, 26 + step if step % 3 == 0 else None) for step in range(1, 50)]
    some = trials([26.1, None, 26.9, 26.4])
    return {
        "search": search_chart(some, 26.0, name="search", families={"drn": "DRN"}),
        "fit": calibration_chart(calibration(some), name="fit"),
        "training": training_chart({"a": lines, "b": lines[:4]}, 25.0, name="training", names={"a": "DRN"}),
    }


@pytest.fixture(scope="module")
def drawn():
    return charts()


@pytest.mark.parametrize("kind", ["search", "fit", "training"])
def test_charts_take_the_colours_of_the_page(drawn, kind):
    for svg in (drawn[kind].wide, drawn[kind].narrow):
        assert "currentColor" in svg
        assert "var(--" in svg
        assert not re.findall(r"#[0-9a-f]{6}\b", svg)  # a fixed colour would be lost on one of the two backgrounds
        assert not any(colour in svg for colour in COLOURS)


@pytest.mark.parametrize("kind", ["search", "fit", "training"])
def test_charts_hold_text_as_text_and_nothing_foreign(drawn, kind):
    for svg in (drawn[kind].wide, drawn[kind].narrow):
        assert "<text" in svg
        assert "http" not in svg
        assert "font-family" not in svg
        assert not {"<image", "<style", "<metadata", "<?xml"} & set(re.findall(r"<[?a-z]+", svg))


def test_ids_of_two_drawings_never_meet(drawn):
    svgs = [svg for chart in drawn.values() for svg in (chart.wide, chart.narrow)]
    ids = [each for svg in svgs for each in re.findall(r' id="([^"]+)"', svg)]
    assert ids
    assert len(ids) == len(set(ids))
    for svg in svgs:
        inside = set(re.findall(r' id="([^"]+)"', svg))
        assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg)) == inside


def test_equal_input_gives_equal_bytes(drawn):
    assert charts() == drawn


def text(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_bicubic_and_failures_are_in_the_legend_only_where_there_are_any(drawn):
    assert {"DRN", "best so far", "bicubic", "failed"} <= set(text(drawn["search"].wide))
    plain = search_chart(trials([26.1, 26.9]), None, name="s", families={"drn": "DRN"})
    assert not {"bicubic", "failed"} & set(text(plain.wide))


def test_trainings_that_were_stopped_early_are_told_from_failed_ones():
    some = trials([26.1, None, 26.9, None])
    some[3] = some[3].model_copy(update={"status": "stopped"})
    chart = search_chart(some, 26.0, name="s", families={"drn": "DRN"})
    assert {"failed", "stopped"} <= set(text(chart.wide))
    assert "4 trials, of which 1 failed, 1 stopped early." in chart.description


def test_a_net_that_learnt_nothing_does_not_flatten_the_rest():
    scores = [27.0, 27.1, 27.2, 27.3, 27.4, 12.3]
    labels = text(search_chart(trials(scores), 26.9, name="s", families={"drn": "DRN"}).wide)
    assert "↓ 12.3" in labels
    ticks = [float(label) for label in labels if re.fullmatch(r"\d\d\.\d+", label)]
    assert min(ticks) > 26
    without = text(search_chart(trials(scores[:-1]), 26.9, name="s", families={"drn": "DRN"}).wide)
    assert not any("↓" in label for label in without)


@pytest.mark.parametrize("bicubic", [20.0, 26.9, 31.0])
def test_the_bicubic_line_is_always_in_sight(bicubic):
    svg = search_chart(trials([27.0, 27.1, 27.2, 27.3, 27.4, 12.3]), bicubic, name="s", families={"drn": "DRN"}).wide
    number = r"(-?[\d.]+)"
    frames = re.findall(
        rf'd="M {number} {number} L {number} {number} L {number} {number} L [^"]* z " style="fill: none"', svg
    )
    bottom, top = float(frames[1][1]), float(frames[1][5])  # the first is the whole drawing
    lines = re.findall(rf'd="M {number} {number} L {number} {number} " clip-path[^>]*dasharray[^>]*currentColor', svg)
    assert len(lines) == 1
    assert top <= float(lines[0][1]) == float(lines[0][3]) <= bottom


def test_one_trial_and_one_log_line_can_be_drawn():
    one = trials([27.0])
    assert "27.000 dB" in search_chart(one, None, name="s", families={"drn": "DRN"}).description
    assert calibration_chart(calibration(one), name="f").wide.endswith("</svg>")
    line = {"a": [log_line(1, 0.0)]}
    assert training_chart(line, None, name="t", names={}).narrow.endswith("</svg>")


def test_a_chart_is_drawn_where_its_values_say():
    """The figure read back: a point at a quarter of the axes stands at a quarter of the drawing."""
    with drawing():
        figure = new_figure(400, 200)
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 4), ylim=(0, 4))
        axes.plot([1, 3], [1, 3], color="#010104")
    paths = re.findall(
        r'<path d="M ([\d.]+) ([\d.]+) L ([\d.]+) ([\d.]+) " clip-path[^>]*var\(--accent\)', to_svg(figure, "n")
    )
    assert any(np.allclose([float(each) for each in found], [100, 150, 300, 50]) for found in paths)
