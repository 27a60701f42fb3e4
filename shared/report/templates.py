"""The Jinja environment of all pages: every value is escaped but what is marked as HTML (styles, scripts, charts)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

FOLDER = Path(__file__).parent


def environment(filters: Mapping[str, Callable[..., Any]]) -> jinja2.Environment:
    """The templates of this folder, with `svg` (a chart, not escaped) and these filters."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    templates.filters |= {"svg": Markup, **filters}
    return templates
