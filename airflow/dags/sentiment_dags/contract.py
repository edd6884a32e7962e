"""The data contract on the raw tweets, looked at before a cluster is made: the first megabytes of the newest files.

The training job checks every row (code/sentiment/cleaning.py); this finds the file that is none, in seconds.
"""

import csv
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

from sentiment_dags import store
from sentiment_dags.settings import Settings

COLUMNS = ("target", "id", "date", "flag", "user", "text")
TARGETS = ("0", "2", "4")
SUFFIXES, HIDDEN = (".csv", ".csv.gz"), (".", "_")
STRAY = re.compile(r"(^|/)sentiment140/sample_[^/]*$")
FIRST_BYTES = 4 * 1024 * 1024
"""How much of a file is read."""

MOST_FILES = 5
MOST_UNUSABLE = 0.05
"""Share of rows with other columns or targets; what the training job accepts by default."""

csv.field_size_limit(2**31 - 1)


class ContractError(ValueError):
    """The raw tweets are not what a training wants; the line names place, rule and what was found."""


def check(settings: Settings) -> dict[str, int]:
    """Look at the raw tweets in the data bucket: columns, labels, rows.

    Returns:
        files, bytes, and of what was looked at: rows, negative, neutral, positive, unusable.

    Raises:
        ContractError: there are none, or they break a rule.
    """
    place = f"gs://{settings.data_bucket}/{settings.raw_data_prefix.strip('/')}"
    blobs = _files(settings)
    if not blobs:
        raise ContractError(f"{place}: want tweets in files named *.csv or *.csv.gz, found none")
    counted: Counter[str] = Counter()
    for blob in sorted(blobs, key=lambda each: each.updated, reverse=True)[:MOST_FILES]:
        counted += count(_lines(blob))
    found = {name: counted[name] for name in ("rows", "negative", "neutral", "positive", "unusable")}
    judge(found, place)
    return {"files": len(blobs), "bytes": sum(blob.size for blob in blobs), **found}


def count(lines: Iterable[str]) -> Counter[str]:
    """Rows, and how many of them are negative, neutral, positive or unusable."""
    counted: Counter[str] = Counter()
    names = {"0": "negative", "2": "neutral", "4": "positive"}
    for line in lines:
        if not line.strip():
            continue
        row = _row(line)
        usable = len(row) == len(COLUMNS) and row[0].strip() in TARGETS and row[-1].strip()
        counted["rows"] += 1
        counted[names[row[0].strip()] if usable else "unusable"] += 1
    return counted


def _row(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def judge(found: dict[str, int], place: str) -> None:
    """ContractError names the first rule that the figures break."""
    if not found["rows"]:
        raise ContractError(f"{place}: want rows of six columns ({', '.join(COLUMNS)}), found none")
    if found["unusable"] > MOST_UNUSABLE * found["rows"]:
        raise ContractError(
            f"{place}: want six quoted columns ({', '.join(COLUMNS)}) without a header, a target out of "
            f"{', '.join(TARGETS)} and a text, found other rows: {found['unusable']:,} of the first {found['rows']:,}"
        )
    if not found["negative"] + found["positive"]:
        raise ContractError(f"{place}: want rows of target 0 or 4, found neutral ones only")


def _files(settings: Settings) -> list[Any]:
    """The raw CSV files that the training job will find."""
    from google.api_core.exceptions import Forbidden, NotFound

    prefix = settings.raw_data_prefix.strip("/")
    try:
        blobs = list(store.client().list_blobs(settings.data_bucket, prefix=prefix, timeout=store.SECONDS))
    except (Forbidden, NotFound) as error:
        said = " ".join(str(error.message).split())[:200]
        raise ContractError(
            f"Variable data_bucket: want a bucket that can be read, found {settings.data_bucket}: {said}"
        ) from None
    below = [blob for blob in blobs if blob.name == prefix or blob.name.startswith(f"{prefix}/")]
    return [blob for blob in below if blob.size and is_read(blob.name, prefix)]


def is_read(name: str, prefix: str) -> bool:
    """Whether the training job reads an object below its folder, as code/sentiment/raw_files.py has it."""
    is_hidden = any(part.startswith(HIDDEN) for part in name.removeprefix(f"{prefix}/").split("/"))
    return name.lower().endswith(SUFFIXES) and not is_hidden and STRAY.search(name) is None


def _lines(blob: Any) -> list[str]:
    """The whole lines in the first bytes of a file."""
    content = blob.download_as_bytes(end=FIRST_BYTES - 1, raw_download=True, timeout=store.SECONDS)
    cut = blob.size > FIRST_BYTES
    if blob.name.lower().endswith(".gz"):
        unzipping = zlib.decompressobj(wbits=31)
        try:
            content = unzipping.decompress(content, FIRST_BYTES)
        except zlib.error:
            raise ContractError(f"gs://{blob.bucket.name}/{blob.name}: want gzip, found something else") from None
        cut = not unzipping.eof
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = io.StringIO(text.removeprefix("\ufeff"), newline=None).readlines()  # as Spark ends them: CR too
    return lines[:-1] if cut else lines
