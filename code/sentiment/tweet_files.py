"""Tweets out of local files, in plain Python: Sentiment140's CSV as raw_tweets reads it, or JSON lines."""

import csv
import gzip
import hashlib
import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sentiment import raw_files
from sentiment.jobs import DataError

SUFFIXES = (*raw_files.SUFFIXES, ".json", ".json.gz", ".jsonl", ".jsonl.gz")
LABELS = {"0": 0.0, "2": None, "4": 1.0}
COLUMNS = 6
_BOM = b"\xef\xbb\xbf"

csv.field_size_limit(2**31 - 1)  # a line is in memory already, however long


@dataclass(frozen=True)
class Tweet:
    """One tweet; `label` is 0.0, 1.0 or, where it is neutral or unknown, None."""

    id: str
    text: str
    label: float | None


@dataclass(frozen=True)
class Line:
    """A line as it lies in its file."""

    raw: bytes
    is_json: bool


def find(location: Path) -> list[Path]:
    """The files at `location`: that file, or those with a known suffix below the folder; DataError if there are none.

    Hidden files are none, nor is what lies in hidden folders. A sample among real tweets is one: it is for streams.
    """
    wanted = f"want a file that ends in {', '.join(SUFFIXES)}, or a folder that holds one"
    if not location.exists():
        raise DataError(f"--input {location}: {wanted}; found nothing")
    below = [location] if location.is_file() else sorted(location.rglob("*"))
    files = [
        path
        for path in below
        if path.is_file()
        and path.name.lower().endswith(SUFFIXES)
        and not any(part.startswith(".") for part in path.relative_to(location.parent).parts[1:])
    ]
    if not files:
        raise DataError(f"--input {location}: {wanted}; found none")
    return files


def lines(files: list[Path]) -> Iterator[Line]:
    """Every line of the files that holds more than white space; DataError if a file cannot be read."""
    for path in files:
        is_json = ".json" in "".join(path.suffixes[-2:]).lower()
        try:
            with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
                for number, raw in enumerate(file):
                    for line in (raw.removeprefix(_BOM) if number == 0 else raw).splitlines():  # \r ends one too
                        if line.strip():
                            yield Line(line, is_json)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"--input {path}: want a file that can be read to its end: {error}") from error


def shuffled(found: Iterator[Line], seed: int) -> Iterator[Line]:
    """The same lines in an order of chance, all of them in memory: Sentiment140 is grouped by label."""
    held = list(found)
    random.Random(seed).shuffle(held)  # noqa: S311  no secret depends on it
    yield from held


def parse(line: Line) -> Tweet | None:
    """A line's tweet; None if it is not one: other columns, an unknown target, no text."""
    text = _decoded(line.raw.rstrip(b"\r\n"))
    return _from_json(text) if line.is_json else _from_csv(text)


def _decoded(raw: bytes) -> str:
    """UTF-8 where the bytes are that, else Latin-1, in which every byte means something; decided line by line."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _from_csv(line: str) -> Tweet | None:
    try:
        row = next(csv.reader([line]))
    except csv.Error:
        return None
    goes_on = line.count('"') % 2 == 1  # in the next line, which is read as one of its own
    if goes_on or len(row) != COLUMNS or row[0].strip() not in LABELS or not row[5].strip():
        return None
    return Tweet(_identity(row[1].strip(), row[5]), row[5], LABELS[row[0].strip()])


def _from_json(line: str) -> Tweet | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not row["text"].strip():
        return None
    given, label = row.get("id"), row.get("label")
    known = isinstance(label, int | float) and not isinstance(label, bool) and label in (0, 1)
    return Tweet(
        _identity(str(given).strip() if isinstance(given, str | int) else "", row["text"]),
        row["text"],
        float(label) if known and label is not None else None,
    )


def _identity(given: str, text: str) -> str:
    """The tweet's own id, or one that depends on the text alone, as raw_tweets makes it."""
    return given or f"t{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"
