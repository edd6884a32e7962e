"""A stream's predictions as they lie in its output: how many files, how new, and whether they can be read."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sentiment import objects
from sentiment.health.streams import Batch
from sentiment.jobs import DataError, one_line

_FILE = re.compile(r"date=([+-]?\d{4,}-\d\d-\d\d)/[^/]+\.parquet")
"""A year may be any: a message says its time itself, and its predictions are there wherever it led them."""


@dataclass
class Output:
    """What lies in an output folder.

    Attributes:
        files: how many Parquet files, of all lives and dates.
        newest_date: the newest partition; empty: there is none.
        checked: of how many files the footer was read.
        faults: what is wrong, one line each.
        newest_rows: rows of the newest file, all of them read.
        positive_share: share of positive predictions among them; None: no rows.
        newest_message: the newest ingest_time among them; None: no rows, or it is outside years 1 to 9999.
    """

    files: int = 0
    newest_date: str = ""
    checked: int = 0
    faults: list[str] = field(default_factory=list)
    newest_rows: int = 0
    positive_share: float | None = None
    newest_message: datetime | None = None


def look(folder: str, batches: list[Batch], most: int) -> Output:
    """List an output; read the footers of the newest batches' files, `most` at most, and the rows of the newest.

    Args:
        folder: of the predictions.
        batches: complete ones, oldest first, read before: their files must be there.
        most: how many footers to read.
    """
    there = {entry.name: entry for entry in objects.entries(folder) if _FILE.fullmatch(entry.name)}
    found = Output(files=len(there), newest_date=max(map(_date, there), key=_when, default=""))
    promised = [(batch, sorted(_name(each) for each in batch.files)) for batch in reversed(batches) if batch.files]
    newest = promised[0][1][-1] if promised else max(there, key=lambda name: there[name].modified, default="")
    for batch, names in promised:
        if found.checked >= most:
            break
        found.faults += _faults(folder, batch, names, set(there))
        found.checked += len(names)
    if newest in there:
        _read_newest(f"{folder}/{newest}", newest, found)
    return found


def _faults(folder: str, batch: Batch, names: list[str], there: set[str]) -> Iterator[str]:
    rows = 0
    for name in names:
        if name not in there:
            yield f"{name} is missing, which batch {batch.number} wrote"
            return
        try:
            with objects.opened(f"{folder}/{name}") as file:
                rows += pq.ParquetFile(file).metadata.num_rows
        except (DataError, pa.ArrowException, OSError) as error:
            yield f"{name} is no readable Parquet: {_cause(error)}"
            return
    if rows != batch.rows_out:
        yield f"batch {batch.number} has {batch.rows_out:,} predictions by its manifest, {rows:,} in its files"


def _read_newest(location: str, name: str, found: Output) -> None:
    try:
        with objects.opened(location) as file:
            rows = pq.ParquetFile(file).read()
        found.newest_rows = rows.num_rows
        if rows.num_rows:
            found.positive_share = float(pc.mean(rows["prediction"]).as_py())
            with suppress(OverflowError):  # of a time that no datetime can be
                found.newest_message = pc.max(rows["ingest_time"]).as_py()
    except (DataError, pa.ArrowException, OSError, KeyError, TypeError) as error:
        if not any(fault.startswith(name) for fault in found.faults):
            found.faults.insert(0, f"{name} is no readable Parquet: {_cause(error)}")


def _cause(error: BaseException) -> str:
    """What the library has said, without the place: the caller names it."""
    return one_line(error.__cause__ or error)[:120]


def _date(name: str) -> str:
    return name.partition("/")[0].removeprefix("date=")


def _when(date: str) -> tuple[int, ...]:
    """Year, month and day, to be compared: a year of more than four digits has a sign, and so has one before 0."""
    return tuple(map(int, date.rsplit("-", 2)))


def _name(location: str) -> str:
    """`date=…/file` of a file, wherever its folder was when it was written."""
    return "/".join(location.split("/")[-2:])
