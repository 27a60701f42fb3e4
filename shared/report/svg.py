"""A Matplotlib figure as inline SVG with the colours of the page: one drawing does for the light and the dark page.

Figures are drawn in stand-in colours (`INK`, `ACCENT`, …), which become `currentColor` and CSS variables here.
"""

import io
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

INK, MUTED, GRID, ACCENT, SURFACE = "#010101", "#010102", "#010103", "#010104", "#010105"
SERIES = tuple(f"#0102{index:02x}" for index in range(1, 7))

COLOURS: Mapping[str, str] = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    ACCENT: "var(--accent)",
    SURFACE: "var(--page)",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(SERIES, start=1)},
}

STYLE: Mapping[str, object] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",  # comes with Matplotlib, so that layouts do not depend on the machine; the page sets its own
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 1,
    "xtick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.color": GRID,
    "ytick.labelcolor": MUTED,
    "ytick.left": False,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "legend.fontsize": 11,
    "lines.linewidth": 2,
    "path.simplify": True,
}


def drawing(salt: str = "") -> AbstractContextManager[None]:
    """The page's style, in which figures are drawn and saved; `salt` decides the ids of a saved one."""
    style: Any = {**STYLE, "svg.hashsalt": salt}
    return mpl.rc_context(style)


def new_figure(width: int, height: int) -> Figure:
    """An empty figure of `width` x `height` CSS px; draw on it within `drawing()`."""
    return Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an `<svg>` element without size, title and foreign names.

    Args:
        figure: drawn in the stand-in colours.
        name: unique on the page; ids inside begin with it.
    """
    buffer, metadata = io.StringIO(), dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with drawing(name):
        figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    return _inline(buffer.getvalue(), name)


def _inline(document: str, name: str) -> str:
    """The `<svg>` of a document, fit to stand in HTML: no prologue, no namespaces, no ids but those that are referred to."""
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    head, body = svg.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    assert box is not None, "Matplotlib writes a viewBox"
    body = body.replace("xlink:href=", "href=")
    referred = set(re.findall(r'(?:url\(#|href="#)([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda match: f' id="{name}-{match[1]}"' if match[1] in referred else "", body)
    body = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", body)
    body = re.sub(r"font: [^;\"]*?([\d.]+)px[^;\"]*", r"font-size: \1px", body)  # older Matplotlib: one property
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = re.sub("|".join(COLOURS), lambda match: COLOURS[match[0]], body)
    body = re.sub(r"\s*\n\s*", " ", body).strip()
    return f'<svg {box[0]} aria-hidden="true" focusable="false">{body}'
