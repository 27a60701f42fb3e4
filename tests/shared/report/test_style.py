import re
from pathlib import Path

import pytest

import shared.report
from shared.report.svg import COLOURS

CSS = (Path(shared.report.__file__).parent / "style.css").read_text(encoding="utf-8")


def themes():
    """The colours of the light page, and those of the dark one over them."""
    light, dark = re.findall(r":root \{(.*?)\}", CSS, flags=re.DOTALL)[:2]
    colours = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in (light, dark)]
    return {"light": colours[0], "dark": {**colours[0], **colours[1]}}


def contrast(a, b):
    """WCAG 2.2: (L1 + 0.05) / (L2 + 0.05) of relative luminances."""

    def luminance(colour):
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_known_colours():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the grey that just fails


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_and_curves_be_seen(theme):
    colours = themes()[theme]
    assert {"page", "raised", "ink", "muted", "accent", "series-1", "series-6"} <= colours.keys()
    for name in ("ink", "muted", "accent"):
        assert contrast(colours[name], colours["page"]) >= 4.5, name
        assert contrast(colours[name], colours["raised"]) >= 4.5, name
    for name in (each for each in colours if each.startswith("series-")):
        assert contrast(colours[name], colours["page"]) >= 3, name


def test_dark_sets_every_colour_of_light():
    light, dark = re.findall(r":root \{(.*?)\}", CSS, flags=re.DOTALL)[:2]
    names = [set(re.findall(r"--([\w-]+): #", block)) for block in (light, dark)]
    assert names[0] == names[1]


def test_every_variable_of_the_charts_is_defined():
    used = {name for value in COLOURS.values() for name in re.findall(r"var\(--([\w-]+)\)", value)}
    assert used <= themes()["light"].keys()
