"""The report as Markdown and as one self-contained page with a plot for each stream."""

from datetime import UTC, datetime
from itertools import groupby

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from sentiment import objects, pages
from sentiment.health.figures import named
from sentiment.health.report import HEAD, HEAD_HELP, Told, as_json, details, row
from sentiment.health.streams import Batch, Seen
from sentiment.health.verdict import DEGRADED, HEALTHY, Limits

MARKDOWN, PAGE, JSON = "report.md", "report.html", "report.json"
NUMBERS = (2, 3, 4, 5, 6, 7, 8, 9)
_CLASSES = {HEALTHY: "verdict good", DEGRADED: "verdict fair"}
_BAND = (pages.BLUE, pages.OCHRE, pages.GREEN, pages.GREY)
_WIDTH_INCHES, _HEIGHT_INCHES = 10.5, 7.0


def write(folder: str, tellings: list[Told], limits: Limits, state: str, made: str) -> None:
    """Write the report as JSON, Markdown and HTML into a folder, over an older one."""
    texts = {
        PAGE: (render(PAGE, tellings, limits, state, made), "text/html; charset=utf-8"),
        MARKDOWN: (render(MARKDOWN, tellings, limits, state, made), "text/markdown; charset=utf-8"),
        JSON: (as_json(tellings, limits, state, made), "application/json"),
    }
    for name, (text, kind) in texts.items():  # the JSON last: who finds it finds the others too
        objects.replace(f"{folder}/{name}", text, kind)


def render(template: str, tellings: list[Told], limits: Limits, state: str, made: str) -> str:
    """One of the two, MARKDOWN or PAGE."""
    streams = [
        {
            "name": told.stream.name,
            "verdict": str(told.verdict),
            "kind": _CLASSES.get(told.verdict.state, "verdict"),
            "details": details(told),
            "batches": len(told.seen.batches) if told.seen else 0,
            "cut": bool(told.seen and told.seen.cut),
            "plot": pages.embedded(plot(told.seen)) if template == PAGE and told.seen and told.seen.batches else "",
        }
        for told in tellings
    ]
    return pages.render(
        "sentiment.health",
        f"{template}.jinja",
        made=made,
        state=state,
        head=HEAD,
        head_help=HEAD_HELP,
        rows=[row(told) for told in tellings],
        numbers=NUMBERS,
        streams=streams,
        limits=limits,
    )


def plot(seen: Seen) -> bytes:
    """A PNG: seconds of each batch, its lag, its rows, and the model that scored it, over the same time."""
    times = [_day(batch.completed) for batch in seen.batches]
    figure, (seconds, lag, rows, models) = plt.subplots(
        4, 1, sharex=True, figsize=(_WIDTH_INCHES, _HEIGHT_INCHES), height_ratios=(3, 2, 3, 1), layout="constrained"
    )
    marker = "o" if len(times) < 100 else ""
    for axes, name, values in (
        (seconds, "batch, seconds", [batch.seconds for batch in seen.batches]),
        (lag, "lag, seconds", [batch.lag_seconds for batch in seen.batches]),
    ):
        axes.plot(times, values, color=pages.BLUE, marker=marker, markersize=3)
        axes.set_ylabel(name)
    out = [float(batch.rows_out) for batch in seen.batches]
    dead = [float(batch.dead_letters) for batch in seen.batches]
    rows.vlines(times, 0, out, color=pages.BLUE, linewidth=2, label="predictions")
    rows.vlines(
        times, out, [a + b for a, b in zip(out, dead, strict=True)], color=pages.RED, linewidth=2, label="dead letters"
    )
    rows.set_ylabel("rows per batch")
    rows.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
    for axes in (seconds, lag, rows):
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
    _band(models, seen.batches)
    locator = mdates.AutoDateLocator()  # type: ignore[no-untyped-call]
    models.xaxis.set_major_locator(locator)
    models.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    models.set_xlabel("batch complete (UTC)")
    for axes in (seconds, lag, rows, models):
        axes.spines[["top", "right"]].set_visible(False)
    return pages.png(figure)


def _band(axes: Axes, batches: list[Batch]) -> None:
    """Which model scored from when to when: a batch stands from the one before it to its own end."""
    colours = {name: _BAND[place % len(_BAND)] for place, name in enumerate(dict.fromkeys(map(named, batches)))}
    begin = _day(batches[0].completed - batches[0].seconds)
    for name, group in groupby(batches, key=named):
        end = _day(list(group)[-1].completed)
        axes.axvspan(begin, end, color=colours[name], linewidth=0)
        begin = end
    axes.set_yticks([])
    axes.set_ylabel("model", rotation=0, ha="right", va="center")
    handles = [
        Patch(color=colour, label=pages.plain(f"version {name.rpartition(' ')[2]}")) for name, colour in colours.items()
    ]
    axes.legend(handles=handles[-8:], loc="upper left", bbox_to_anchor=(1, 1.2), frameon=False, fontsize=8)


def _day(seconds: float) -> float:
    return float(mdates.date2num(datetime.fromtimestamp(seconds, UTC)))  # type: ignore[no-untyped-call]
