"""A model's history as one self-contained HTML page: a timeline of the versions, and the table."""

from datetime import UTC, datetime, timedelta

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Annotation

from sentiment import pages
from sentiment.live.entries import FIRST, FOUND, PROMOTED, REVERTED, ROLLED_BACK, named
from sentiment.live.history import METRICS, History, Span, gate_line, short, state
from sentiment.live.records import MOVED

COLOURS = {FIRST: "#1f5a99", PROMOTED: "#1f5a99", ROLLED_BACK: "#c4472b", FOUND: "#8a8a8a", REVERTED: "#d79a2b"}
_LABELS = {
    PROMOTED: "first or promoted",
    ROLLED_BACK: "rolled back to",
    FOUND: "found there",
    REVERTED: "reverted to",
}
_WIDTH_INCHES, _ROW_INCHES, _MARGIN_INCHES, _MOST_INCHES = 11.0, 0.55, 1.5, 40.0
_BAR = 0.34
_LEVELS = (4, 14)
"""How far above its bar an entry's number stands, in points: the second where the first is taken."""


def page(history: History, now: datetime | None = None) -> str:
    """The whole page; `now` is where bars of what is live still end."""
    now = now or datetime.now(UTC)
    rows = [
        {
            "span": span,
            "begin": short(span.begin),
            "end": short(span.end, "now") if span.outcome else state(span),
            "action": span.entry.action if span.outcome != "reverted" else f"{span.entry.action}, {state(span)}",
            "gate": gate_line(span.entry.evidence),
        }
        for span in history.spans
    ]
    return pages.render(
        "sentiment.live",
        "history.html.jinja",
        history=history,
        live=named(history.live),
        rows=rows,
        metrics=METRICS,
        made=short(now),
        plot=pages.embedded(timeline(history, now)) if versions(history) else "",
    )


def versions(history: History) -> list[str]:
    """The versions that stand in the history, by number."""
    found = {span.entry.to_version for span in history.spans if span.entry.to_version is not None}
    return sorted(found, key=lambda version: (len(version), version))


def timeline(history: History, now: datetime) -> bytes:
    """A PNG with one bar per span: time from left to right, versions upwards, the colour says how it came about."""
    rows = versions(history)
    height = min(_MARGIN_INCHES + _ROW_INCHES * len(rows), _MOST_INCHES)
    figure, axes = plt.subplots(figsize=(_WIDTH_INCHES, height), dpi=pages.DOTS_PER_INCH)
    drawn = [span for span in history.spans if span.entry.to_version is not None]
    begin = drawn[0].begin
    now = max(now, drawn[-1].begin)
    whole = max(now - begin, timedelta(seconds=1))
    for span in drawn:
        _bar(axes, span, rows.index(str(span.entry.to_version)), now, whole)
    axes.set_xlim(_days(begin - whole * 0.01), _days(now + whole * 0.02))
    axes.set_ylim(-0.6, len(rows) - 0.2)
    axes.set_yticks(range(len(rows)), [f"version {version}" for version in rows])
    axes.xaxis_date()
    locator = mdates.AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_xlabel("time (UTC); numbers are entries of the ledger")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    _legend(axes, drawn)
    figure.tight_layout()
    _label(figure, axes, drawn, rows)
    return pages.png(figure)


def _bar(axes: Axes, span: Span, row: int, now: datetime, whole: timedelta) -> None:
    end = span.end or now
    length = max(end - span.begin, whole / 600)  # one that was live for a moment is seen too
    is_live = span.outcome == MOVED
    axes.barh(
        row,
        length / timedelta(days=1),
        left=_days(span.begin),
        height=_BAR,
        color=COLOURS[span.entry.action] if is_live else "white",
        edgecolor=COLOURS[span.entry.action],
        hatch=None if is_live else "//",
        linewidth=0.8,
    )


def _legend(axes: Axes, drawn: list[Span]) -> None:
    actions = {PROMOTED if span.entry.action == FIRST else span.entry.action for span in drawn}
    handles = [Patch(color=COLOURS[action], label=_LABELS[action]) for action in _LABELS if action in actions]
    if any(span.outcome != MOVED for span in drawn):
        handles.append(Patch(facecolor="white", edgecolor="#555555", hatch="//", label="in progress, or was gone"))
    axes.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(handles), frameon=False, fontsize=8
    )


def _label(figure: Figure, axes: Axes, drawn: list[Span], rows: list[str]) -> None:
    """The entry's number above each bar's beginning, as many as there is room for; the table has them all."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    taken: list[Annotation] = []
    for span in drawn:
        place = (_days(span.begin), rows.index(str(span.entry.to_version)) + _BAR / 2)
        for level in _LEVELS:
            label = axes.annotate(
                str(span.entry.number), place, (0, level), textcoords="offset points", fontsize=7.5, color="#333333"
            )
            box = label.get_window_extent(renderer).padded(3)
            if not any(box.overlaps(other.get_window_extent(renderer)) for other in taken):
                taken.append(label)
                break
            label.remove()


def _days(moment: datetime) -> float:
    """Days since 1970, as matplotlib counts them."""
    return moment.timestamp() / 86_400
