"""Plots of what the queries gave, as PNG; a result without rows has none."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from sentiment import pages
from sentiment.monitoring.partitions import DEFAULT_DAYS
from sentiment.monitoring.warehouse import Result

_SIZE_INCHES = (9.0, 3.2)
_DAYS_NAMED = 10
_YEAR_DAYS = 300
"""From so many days on a tick names its year."""

_MOST_BARS = 24 * DEFAULT_DAYS
_HOUR = timedelta(hours=1)
_COLOURS = [pages.BLUE, pages.OCHRE, pages.GREEN, pages.RED, pages.AMBER, pages.GREY]
_MOST = len(_COLOURS) - 1
"""So many series have a colour of their own; the rest of them is one more."""

_REST = "others"


def draw(query: str, result: Result) -> bytes | None:
    """The plot of a query's result; None: it has no rows, or no plot."""
    if query not in _PLOTS or not result.rows:
        return None
    figure, axes = plt.subplots(figsize=_SIZE_INCHES)
    _PLOTS[query](axes, result)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    return pages.png(figure)


def _throughput(axes: Axes, result: Result) -> None:
    counts, width = _bars(result.column("hour"), result.column("predictions"))
    begins, width_days = _numbers(list(counts)), width / timedelta(days=1)
    axes.bar(begins, list(counts.values()), width=width_days, align="edge", color=pages.BLUE)
    axes.xaxis_date()
    locator = mdates.AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    _limit(axes, begins[0], begins[-1] + width_days)
    unit = "hour" if width == _HOUR else "day" if width.days == 1 else f"{width.days:,} days"
    axes.set_ylabel(f"predictions per {unit}")
    axes.set_xlabel("hour (UTC)" if width == _HOUR else "day (UTC)")


def _bars(hours: list[datetime], counts: list[int]) -> tuple[dict[datetime, int], timedelta]:
    """Predictions by the begin of a bar, and the bars' width: an hour, or so many days that there are not too many."""
    length = (hours[-1] - hours[0]) // _HOUR + 1
    if length <= _MOST_BARS:
        return dict(zip(hours, counts, strict=True)), _HOUR
    width = timedelta(days=-(-length // (24 * _MOST_BARS)))
    begin = hours[0].replace(hour=0)
    bars: Counter[datetime] = Counter()
    for hour, count in zip(hours, counts, strict=True):
        bars[begin + (hour - begin) // width * width] += count
    return bars, width


def _accuracy(axes: Axes, result: Result) -> None:
    days, accuracy = result.column("date"), result.column("accuracy")
    below = [value - low for value, low in zip(accuracy, result.column("accuracy_low"), strict=True)]
    above = [high - value for value, high in zip(accuracy, result.column("accuracy_high"), strict=True)]
    axes.errorbar(days, accuracy, yerr=[below, above], color=pages.BLUE, marker="o", markersize=4, capsize=3)
    axes.set_ylabel("accuracy, 95 % interval")
    _by_day(axes, days)


def _distribution(axes: Axes, result: Result) -> None:
    days = result.column("date")
    for name, colour, style in (("positive_share", pages.BLUE, "-"), ("mean_score", pages.OCHRE, "--")):
        axes.plot(
            days, result.column(name), color=colour, linestyle=style, marker="o", markersize=4, label=_words(name)
        )
    axes.set_ylim(0, 1)
    axes.legend(fontsize=8, frameon=False)
    _by_day(axes, days)


def _histogram(axes: Axes, result: Result) -> None:
    places = [result.columns.index(name) for name in ("model_name", "model_version", "score_from", "share")]
    versions: dict[str, dict[int, float]] = {}
    for row in result.rows:
        name, version, start, share = (row[place] for place in places)
        versions.setdefault(f"{name}, version {version}", {})[round(10 * float(start))] = float(share)  # type: ignore[arg-type]
    shown = list(versions)[-_MOST:]  # the newest: versions count up
    for number, version in enumerate(shown):
        shares = [versions[version].get(place, 0.0) for place in range(10)]
        edges = [place / 10 for place in range(11)]
        axes.stairs(shares, edges, color=_COLOURS[number], linewidth=1.6, label=pages.plain(version))
    axes.set_xlim(0, 1)
    axes.set_ylim(0)
    axes.set_xlabel("score, P(positive)")
    axes.set_ylabel("share of the version's rows")
    axes.legend(fontsize=8, frameon=False)


def _dead_letters(axes: Axes, result: Result) -> None:
    counts: dict[str, dict[date, int]] = {}
    for day, reason, count in zip(*map(result.column, ("date", "reason", "dead_letters")), strict=True):
        of_reason = counts.setdefault(reason, {})
        of_reason[day] = of_reason.get(day, 0) + count
    most = sorted(counts, key=lambda reason: -sum(counts[reason].values()))
    days = sorted({day for of_reason in counts.values() for day in of_reason})
    below = [0] * len(days)
    series = {reason: [reason] for reason in most[:_MOST]} | ({_REST: most[_MOST:]} if most[_MOST:] else {})
    for number, (name, reasons) in enumerate(series.items()):
        heights = [sum(counts[reason].get(day, 0) for reason in reasons) for day in days]
        axes.bar(days, heights, bottom=below, width=0.7, color=_COLOURS[number], label=pages.plain(name))  # type: ignore[arg-type]
        below = [low + height for low, height in zip(below, heights, strict=True)]
    axes.set_ylabel("dead letters")
    axes.legend(fontsize=8, frameon=False)
    _by_day(axes, days)


def _by_day(axes: Axes, days: list[Any]) -> None:
    length = (days[-1] - days[0]).days + 1
    if length <= _DAYS_NAMED:
        axes.set_xticks([days[0] + timedelta(days=number) for number in range(length)])
    else:
        axes.xaxis.set_major_locator(mdates.AutoDateLocator())  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%d %b" if 1 < length < _YEAR_DAYS else "%Y-%m-%d"))  # type: ignore[no-untyped-call]
    first, last = _numbers([days[0], days[-1]])
    _limit(axes, first - 0.7, last + 0.7)
    axes.set_xlabel("day (UTC)")


def _limit(axes: Axes, first: float, last: float) -> None:
    """Show the days from `first` to `last`, as far as the calendar goes: matplotlib names no others."""
    begin, end = _numbers([datetime.min.replace(tzinfo=UTC), datetime.max.replace(microsecond=0, tzinfo=UTC)])
    axes.set_xlim(max(first, begin), min(last, end))


def _numbers(moments: Sequence[date]) -> list[float]:
    """Days since 1970, as matplotlib counts them."""
    return [float(number) for number in mdates.date2num(moments)]  # type: ignore[no-untyped-call]


def _words(name: str) -> str:
    return name.replace("_", " ")


_PLOTS: dict[str, Callable[[Axes, Result], None]] = {
    "throughput_per_hour": _throughput,
    "accuracy_per_day": _accuracy,
    "prediction_distribution": _distribution,
    "score_histogram": _histogram,
    "dead_letters": _dead_letters,
}
