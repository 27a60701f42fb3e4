"""Puts the page together: one HTML file that needs nothing else, the same bytes for the same runs."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from markupsafe import Markup

from shared.report import numbers
from shared.report.read import Runs
from shared.report.summary import FAMILY_NAMES
from shared.report.templates import FOLDER, environment
from shared.report.view import Missing, View, make_view
from shared.spec import software

LEVELS = {"self_ensemble": "×8 self-ensemble", "patch_ensemble": "patch ensemble"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The finished page, the ids of the sections that show something, and what it had to leave out."""

    html: str
    sections: tuple[str, ...]
    missing: tuple[Missing, ...]


def render(runs: Runs, *, most_examples: int) -> Page:
    """The page of some runs.

    Args:
        runs: at least one.
        most_examples: pairs to show pictures of, of each ablation.

    Raises:
        PairError: a picture that cannot be read.
    """
    view = make_view(runs, most_examples=most_examples)
    script = (FOLDER / "slider.js").read_text(encoding="utf-8")
    template = environment(_filters(view)).get_template("page.html")
    html = template.render(
        view=view,
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_sha256=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        version=software().get("gpnas-sr", ""),
    )
    return Page(html=html, sections=view.sections, missing=view.missing)


def _filters(view: View) -> dict[str, Callable[..., Any]]:
    forms = ("psnr", "ssim", "gain", "count", "count_of", "quantity", "duration", "percent")
    return {
        **{form: getattr(numbers, form) for form in forms},
        "member": partial(_member, view),
        "members": partial(_members, view),
        "picture_name": partial(_picture_name, view),
        "family": lambda family: FAMILY_NAMES.get(family, family),
        "level": lambda level: LEVELS.get(level, level.replace("_", " ")),
        "field": lambda name: name.replace("_", " "),
        "value": _value,
    }


def _member(view: View, spec_id: str) -> str:
    return view.names.get(spec_id, spec_id)


def _members(view: View, ids: tuple[str, ...]) -> str:
    return " + ".join(_member(view, spec_id) for spec_id in ids) or "bicubic"


def _picture_name(view: View, name: str) -> str:
    known = {"lr": "LR, nearest", "bicubic": "Bicubic", "ensemble": "Ensemble", "hr": "HR"}
    return known.get(name) or _member(view, name)


def _value(value: object) -> str:
    """The value of an architecture's field."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return numbers.MISSING if value is None else str(value)
