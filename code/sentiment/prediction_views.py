"""Predictions on their way past: what a record holds, counts per class and version, and three ways to show them."""

import json
import sys
from collections import Counter, deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from sentiment.lines import printable

SHOWN = 15
UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Prediction:
    """One record of the predictions topic as far as it could be read; `fields` is None if it is no JSON object."""

    fields: dict[str, Any] | None
    sentiment: str
    score: str
    version: str
    text: str


def read(value: bytes | None) -> Prediction:
    """A record's value as a prediction; whatever is wrong with it, this gives one that can be shown."""
    try:
        fields = json.loads((value or b"").decode("utf-8"))
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return Prediction(None, UNREADABLE, "", "", printable((value or b"").decode("utf-8", "replace")))
    return Prediction(
        fields,
        printable(fields.get("sentiment"), "?"),
        _score(fields.get("score")),
        printable(fields.get("model_version"), "?"),
        printable(fields.get("text")),
    )


def _score(value: object) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "?"
    try:
        return f"{value:.3f}"
    except OverflowError:  # a whole number beyond every float
        return "?"


class Tally:
    """How many predictions there were, by sentiment and by model version."""

    def __init__(self) -> None:
        self.sentiments: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()

    def add(self, prediction: Prediction) -> None:
        """Count one more."""
        self.sentiments[prediction.sentiment] += 1
        if prediction.fields is not None:
            self.versions[prediction.version] += 1

    def summary(self) -> str:
        """All counts in one line."""
        parts = [f"{self.sentiments.total()} predictions", *_counts(self.sentiments)]
        return ", ".join(parts + [f"model version {text}" for text in _counts(self.versions)])


class View:
    """Somewhere that predictions are shown; a context manager, which leaves on the screen what was shown."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def show(self, prediction: Prediction) -> None:
        """Show one more."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Bring the screen up to date."""
        sys.stdout.flush()


class Lines(View):
    """One line per prediction."""

    def show(self, prediction: Prediction) -> None:
        text = prediction.text if len(prediction.text) <= 100 else f"{prediction.text[:99]}…"
        _write(f"{prediction.sentiment:<10} {prediction.score:<6} {prediction.version:<4} {text}")


class JsonLines(View):
    """The records themselves, those that are JSON objects, one a line."""

    def show(self, prediction: Prediction) -> None:
        if prediction.fields is not None:
            _write(json.dumps(prediction.fields, ensure_ascii=False))


class Table(View):
    """The latest predictions and the counts, drawn in place; wants the package rich."""

    def __init__(self, title: str, tally: Tally) -> None:
        from rich.live import Live

        self.title = title
        self.tally = tally
        self.latest: deque[Prediction] = deque(maxlen=SHOWN)
        self.live = Live(auto_refresh=False)

    def __enter__(self) -> Self:
        self.live.start()
        self.refresh()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.live.stop()

    def show(self, prediction: Prediction) -> None:
        self.latest.append(prediction)

    def refresh(self) -> None:
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        # All as Text, never as markup: a record may hold [brackets].
        title, caption = Text(self.title, "table.title"), Text(self.tally.summary(), "table.caption")
        table = RichTable(title=title, caption=caption, box=box.SIMPLE, expand=True)
        for heading in ("sentiment", "score", "version"):
            table.add_column(heading, no_wrap=True)
        table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
        colours = {"positive": "green", "negative": "red"}
        for one in self.latest:
            colour = colours.get(one.sentiment, "yellow")
            table.add_row(Text(one.sentiment, colour), Text(one.score), Text(one.version), Text(one.text))
        self.live.update(table, refresh=True)


def choose(as_json: bool, title: str, tally: Tally) -> View:
    """JSON if it is asked for, a table on a terminal, lines elsewhere."""
    if as_json:
        return JsonLines()
    if sys.stdout.isatty():
        try:
            return Table(title, tally)
        except ModuleNotFoundError:  # a cluster's environment is small
            pass
    return Lines()


def _write(line: str) -> None:
    """A line in one piece: Ctrl-C leaves none without its end."""
    sys.stdout.write(f"{line}\n")


def _counts(counter: Counter[str]) -> list[str]:
    return [f"{name}: {count}" for name, count in sorted(counter.items())]
