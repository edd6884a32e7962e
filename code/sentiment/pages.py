"""Reports as one self-contained HTML page and as Markdown: one style, one base template, one way to embed a plot.

A page's own template lies beside the module that writes it and begins with `{% extends "page.html.jinja" %}`; blocks
`title` and `body` are its own. `{% import "tables.html.jinja" as tables with context %}` has the tables.
"""

import base64
import io
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl

mpl.use("Agg")  # no display where reports are written

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

BLUE, GREY, RED, AMBER, GREEN, OCHRE = "#1f5a99", "#8a8a8a", "#b03a2e", "#d79a2b", "#2e7d4f", "#8a6d1f"
"""Colours of all plots. BLUE and OCHRE differ in lightness too, for eyes that confuse hues."""

DOTS_PER_INCH = 110
BASE = "sentiment"  # the package with page.html.jinja


def render(package: str, template: str, **context: Any) -> str:
    """Fill in a template that lies in `package` (its dotted name); a name without a value is an error.

    Values are escaped in templates called `….html.jinja`, not in others: those of Markdown have the filters `cell`
    (a text that stays inside its cell of a table) and `count` (1234 as 1,234).
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([_loader(package), _loader(BASE)]),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.jinja",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    environment.filters["count"] = "{:,}".format
    return environment.get_template(template).render(**context)


def png(figure: Figure) -> bytes:
    """The figure as PNG; it is closed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    plt.close(figure)
    return buffer.getvalue()


def plain(text: str) -> str:
    """A text from data for matplotlib: $ begins no formula, and a name with a leading _ keeps its place in a legend."""
    return (f" {text}" if text.startswith("_") else text).replace("$", r"\$")


def embedded(picture: bytes | Path) -> str:
    """A PNG as a data URI, for the src of an image."""
    content = picture.read_bytes() if isinstance(picture, Path) else picture
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def _loader(package: str) -> jinja2.FunctionLoader:
    beside = resources.files(package)  # which may lie in a zip

    def read(name: str) -> str | None:
        file = beside / name
        return file.read_text(encoding="utf-8") if file.is_file() else None

    return jinja2.FunctionLoader(read)


def _cell(value: Any) -> str:
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
