"""The report on a stream's predictions: all queries over its newest days, as one HTML page and as Markdown."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sentiment import objects, pages
from sentiment.jobs import DataError
from sentiment.monitoring import charts, partitions
from sentiment.monitoring.partitions import Folders, Period
from sentiment.monitoring.warehouse import DEAD_LETTERS, PREDICTIONS, QUERIES, Result, Value, Warehouse
from sentiment.progress import Progress
from sentiment.serving import layout

PAGE, MARKDOWN = "report.html", "report.md"
MOST_ROWS = 100

_PERCENT = ("share", "share_of_messages", "accuracy", "accuracy_low", "accuracy_high", "precision", "recall")
_PLACES = {"predictions_per_second": 3, "score_from": 1}
_PREDICTIONS_FLAG, _DEAD_FLAG = "--predictions", "--dead-letters"


@dataclass(frozen=True)
class Section:
    """A query on the page: its title, what its figures mean, and how many rows its table has at most, the last."""

    query: str
    title: str
    meaning: str
    most: int = MOST_ROWS


SECTIONS = [
    Section("throughput_per_hour", "Throughput per hour", "By the time at which messages entered their source.", 24),
    Section("accuracy_per_day", "Accuracy per day", "Over predictions with a label; 95 % interval (Wilson)."),
    Section("prediction_distribution", "Predictions per day", "Unsure: a score from 0.4 to 0.6."),
    Section(
        "score_histogram",
        "Scores by model version",
        "Ten equal bins of P(positive). The plot has five versions at most, the newest.",
    ),
    Section("model_versions", "Model versions", "Times are those of the messages."),
    Section("dead_letters", "Dead letters", "Messages that could not be scored, and why."),
]


@dataclass(frozen=True)
class Request:
    """What to report on.

    Attributes:
        predictions: folder of the predictions, local or gs://.
        dead_letters: folder of the dead letters; empty: `<predictions>-dead-letters`, if it is there.
        first: first day; None: 30 days up to the last.
        last: last day; None: the newest that is there, those after tomorrow (UTC) left out.
        max_age_seconds: an older newest prediction is stale.
        sql: folder of the SQL files.
    """

    predictions: str
    dead_letters: str
    first: date | None
    last: date | None
    max_age_seconds: int
    sql: Path


@dataclass(frozen=True)
class Report:
    """What was found.

    Attributes:
        predictions: folder of the predictions.
        period: the days looked at.
        now: the moment that staleness counts from.
        results: by query.
        notes: what is there and was not looked at, one line each.
    """

    predictions: str
    period: Period
    now: datetime
    results: dict[str, Result]
    notes: list[str]

    def newest(self) -> dict[str, Any]:
        """The one row of the query staleness."""
        result = self.results["staleness"]
        return dict(zip(result.columns, result.rows[0], strict=True))

    def verdict(self) -> str:
        """One sentence: how many predictions, how old the newest, how right, how many dead letters."""
        newest = self.newest()
        labelled = self.results["accuracy_per_day"]
        rows = sum(labelled.column("labelled"))
        right = sum(n * a for n, a in zip(labelled.column("labelled"), labelled.column("accuracy"), strict=True))
        dead = sum(self.results["dead_letters"].column("dead_letters"))
        parts = [
            f"{newest['predictions']:,} predictions",
            f"the newest {_ago(newest['seconds_since'])}{' (stale)' if newest['is_stale'] else ''}",
            f"accuracy {right / rows:.2%} on {rows:,} labelled" if rows else "none labelled",
            f"{dead:,} dead letters",
        ]
        return ", ".join(parts)


def make(request: Request, scratch: Path, steps: Progress, now: datetime | None = None) -> Report:
    """Run all queries.

    Args:
        request: what to report on.
        scratch: local folder for what is downloaded.
        steps: says what goes on.
        now: the moment that staleness counts from.

    Raises:
        ArgumentsError: a folder is neither local nor on gs://.
        DataError: no predictions in those days, or folders that do not hold what they should.
    """
    now = now or datetime.now(UTC)
    predictions = objects.folder_at(request.predictions.rstrip("/"), _PREDICTIONS_FLAG)
    house = Warehouse(request.sql, scratch)
    known = _known(predictions, _PREDICTIONS_FLAG, "predictions")
    if not known.days:
        raise DataError(f"{_PREDICTIONS_FLAG} {predictions}: want days of years 1 to 9999, found {known.outside[0]}")
    tomorrow = (now + timedelta(days=1)).date()
    period = partitions.period(known.days, request.first, request.last, tomorrow)
    if not _attach(house, PREDICTIONS, predictions, known, period, _PREDICTIONS_FLAG, scratch, steps):
        raise _nothing(predictions, period, known)
    dead = objects.folder_at(request.dead_letters.rstrip("/") or layout.dead_letters(predictions), _DEAD_FLAG)
    dead_known = (
        _known(dead, _DEAD_FLAG, "dead letters") if request.dead_letters else partitions.folders(dead, _DEAD_FLAG)
    )
    _attach(house, DEAD_LETTERS, dead, dead_known, period, _DEAD_FLAG, scratch, steps)
    parameters: dict[str, Value] = {
        "first_date": period.first,
        "last_date": period.last,
        "as_of": now,
        "max_age_seconds": request.max_age_seconds,
    }
    results = {}
    for query in QUERIES:
        with steps.step(query):
            results[query] = house.run(query, parameters)
    end = date.max if request.last else max(period.last, tomorrow)
    notes = [*known.left_out("predictions", end), *dead_known.left_out("dead letters", end)]
    found = Report(predictions, period, now, results, notes)
    if not found.newest()["predictions"]:
        raise _nothing(predictions, period, known)
    return found


def write(report: Report, folder: Path) -> Path:
    """Write report.html and report.md into a local folder, over what is there; gives the page's path."""
    sections = [_section(section, report.results[section.query]) for section in SECTIONS]
    context = {
        "verdict": report.verdict(),
        "is_stale": report.newest()["is_stale"],
        "place": report.predictions,
        "period": str(report.period),
        "notes": report.notes,
        "made": f"{report.now:%Y-%m-%d %H:%M} UTC",
        "sections": sections,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in (MARKDOWN, PAGE):
            text = pages.render("sentiment.monitoring", f"{file}.jinja", **context)
            objects.write_whole_locally(folder / file, text, overwrite=True)
    except OSError as error:
        raise DataError(f"--output {folder}: want a folder to write to: {error.strerror}") from error
    return folder / PAGE


def _known(location: str, argument: str, what: str) -> Folders:
    known = partitions.folders(location, argument)
    if not (known.days or known.outside):
        raise DataError(f"{argument} {location}: want {what} under date=YYYY-MM-DD/, found none")
    return known


def _attach(
    house: Warehouse,
    table: str,
    location: str,
    known: Folders,
    period: Period,
    argument: str,
    scratch: Path,
    steps: Progress,
) -> bool:
    """Whether there are files of the period's days; they are the table then."""
    days = [day for day in known.days if day in period]
    folder, filled = partitions.fetch(location, days, scratch / table, steps)
    if filled:
        with steps.step(f"looking at the files of {location}"):
            house.attach(table, folder, filled, argument, location)
    return bool(filled)


def _nothing(location: str, period: Period, known: Folders) -> DataError:
    there = f"folders from {Period(known.days[0], known.days[-1])}"
    return DataError(f"{_PREDICTIONS_FLAG} {location}: want predictions of {period}, found none; {there}")


def _section(section: Section, result: Result) -> dict[str, Any]:
    picture = charts.draw(section.query, result)
    hidden = max(len(result.rows) - section.most, 0)
    note = f"The last {section.most} of {len(result.rows):,} rows."
    return {
        "query": section.query,
        "title": section.title,
        "meaning": section.meaning,
        "head": [name.replace("_", " ") for name in result.columns],
        "rows": [
            [_shown(name, value) for name, value in zip(result.columns, row, strict=True)]
            for row in result.rows[hidden:]
        ],
        "numbers": [place for place, name in enumerate(result.columns) if _is_number(result.column(name))],
        "note": note if hidden else "",
        "plot": pages.embedded(picture) if picture else "",
    }


def _is_number(values: list[Any]) -> bool:
    return any(isinstance(value, int | float) for value in values)


def _shown(name: str, value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}" if name == "hour" else f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, float):
        is_percent = name in _PERCENT or name.endswith("_share")
        return f"{value:.2%}" if is_percent else f"{value:.{_PLACES.get(name, 4)}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _ago(seconds: int) -> str:
    """A time ago in the unit that reads well; the future is named too: a source's clock may be wrong."""
    size = abs(seconds)
    words = next(f"{size // unit:,} {name}" for unit, name in _UNITS if size >= 2 * unit or unit == 1)
    return f"{words} old" if seconds >= 0 else f"{words} in the future"


_UNITS = [(86_400, "days"), (3_600, "hours"), (60, "minutes"), (1, "seconds")]
