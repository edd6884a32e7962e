"""Raw tweets: Sentiment140's CSV, read line by line so that every rejected line can be shown as it was."""

import csv
import re

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import hadoop, raw_files, storage
from sentiment.jobs import DataError
from sentiment.text import readable

COLUMNS = ["target", "id", "date", "flag", "user", "text"]
NEGATIVE, NEUTRAL, POSITIVE = "0", "2", "4"
MOST_COLUMNS = 20_480
"""Of a line; with more Spark's reader of CSV fails, whatever its mode."""

LONGEST_NAME = 131_072
"""Characters of a column's name; more is what the csv module refuses by itself, until other code tells it not to."""

GZIP = "gzip"
OTHER_KINDS = {b"\x1f\x8b": GZIP, b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
"""What files are that begin with these bytes, which no line of CSV begins with."""

LOOKED_INTO = 16
"""So many files are looked into before all are read: on gs:// each takes a request."""

WRONG_COLUMNS = "columns"
WRONG_TARGET = "target"
NO_TEXT = "text"
IS_NEUTRAL = "neutral"

_SCHEMA = ", ".join(f"{column} STRING" for column in [*COLUMNS, "corrupt"])
_MULTIBYTE = (
    "(?=[\xc2-\xf4])(?:"  # at most bytes nothing else need be tried: without it plain text took twice the time
    "[\xc2-\xdf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
    "|\xe0[\xa0-\xbf][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}"  # no character in more bytes than it needs
    "|\xed[\x80-\x9f][\x80-\xbf]|\xf4[\x80-\x8f][\x80-\xbf]{2})"  # no half of a pair, nothing beyond Unicode
)
_HIGH = "[\x80-\xff]"


def find_files(spark: SparkSession, location: str) -> list[str]:
    """The raw CSV files at `location`: that file itself, whatever its name, or all below a folder, see raw_files."""
    files = storage.list_files(spark, location)
    if not files:
        raise DataError(f"--input {location}: want a CSV file or a folder that holds one, found nothing")
    if storage.is_file(spark, location):
        if files[0].rpartition("/")[2].startswith(raw_files.HIDDEN):
            raise DataError(f"--input {location}: want a name without leading . or _, which Spark takes for hidden")
    else:
        named = [file for file in files if raw_files.is_csv(file)]
        files = [file for file in named if not raw_files.is_stray(file)]
        if named and not files:
            raise DataError(
                f"--input {location}: want real tweets in sentiment140/, found only sample_*, "
                "which is read if it is named itself"
            )
    if not files:
        raise DataError(f"--input {location}: want files named *.csv or *.csv.gz, found none")
    for file in files[:LOOKED_INTO]:
        with hadoop.telling(f"--input {location}"):
            kind = OTHER_KINDS.get(storage.beginning(spark, file, 2))
        if kind and not (kind == GZIP and file.endswith(".gz")):
            raise DataError(f"--input {file}: want lines of text in UTF-8 or Latin-1 (gzip: .csv.gz), found {kind}")
    return files


def described(files: list[str]) -> str:
    """How many files there are, and how many of them sample_tweets.py has made, by their names."""
    made = sum(bool(re.search(r"/sample_\d+\.csv$", file)) for file in files)
    return f"{len(files)} file(s)" + (f", {made} of them generated (sample_*.csv)," if made else "")


def read(spark: SparkSession, files: list[str]) -> DataFrame:
    """Raw tweets as columns raw (the line), reason (null: usable), id, text (strings) and label (0.0, 1.0, null)."""
    lines = (
        spark.read.text([storage.literal(file) for file in files])
        .select(decoded(F.col("value")).alias("raw"))
        .where(readable(F.col("raw")))
    )
    parsed = from_csv("raw", _SCHEMA)
    rows = lines.select("raw", parsed.alias("tweet")).select("raw", "tweet.*")
    target = F.trim("target")
    return rows.select(
        "raw",
        _reason(target).alias("reason"),
        _identity(F.trim("id"), F.col("text")).alias("id"),
        "text",
        F.when(target == NEGATIVE, 0.0).when(target == POSITIVE, 1.0).alias("label"),
    )


def from_csv(line: str, schema: str) -> Column:
    """A struct out of the column `line`; null where it has too many columns, see has_too_many_columns."""
    options = {"quote": '"', "escape": '"', "columnNameOfCorruptRecord": "corrupt", "maxColumns": str(MOST_COLUMNS)}
    return F.from_csv(F.when(~has_too_many_columns(line), F.col(line)), schema, options)


def has_too_many_columns(line: str) -> Column:
    """Whether the column `line` has as many commas as no line that is read; those in quotes count too."""
    size = F.octet_length(line)  # known, commas have to be counted
    return (size >= MOST_COLUMNS) & (size - F.octet_length(F.replace(F.col(line), F.lit(","))) >= MOST_COLUMNS)


def csv_columns(line: bytes) -> list[str]:
    """The column names in the first line of a CSV file, in lower case; none if it is no line of CSV."""
    text = line.decode(errors="replace").removeprefix("\ufeff")
    try:
        names = next(csv.reader([text]), [])
    except csv.Error:
        return []
    return [name.strip().lower() for name in names] if all(len(name) <= LONGEST_NAME for name in names) else []


def _reason(target: Column) -> Column:
    known = F.coalesce(target.isin(NEGATIVE, NEUTRAL, POSITIVE), F.lit(False))
    quotes = F.length("raw") - F.length(F.replace("raw", F.lit('"')))
    goes_on = quotes % 2 == 1  # in the next line, which is read as one of its own
    return (
        F.when(F.col("corrupt").isNotNull() | goes_on | has_too_many_columns("raw"), WRONG_COLUMNS)
        .when(~known, WRONG_TARGET)
        .when(~readable(F.col("text")), NO_TEXT)
        .when(target == NEUTRAL, IS_NEUTRAL)
    )


def _identity(given: Column, text: Column) -> Column:
    """The row's own id, or one that depends on the text alone (t and 16 hexadecimal digits)."""
    return F.when(F.length(given) > 0, given).otherwise(F.concat(F.lit("t"), F.substring(F.sha2(text, 256), 1, 16)))


def decoded(line: Column) -> Column:
    """A line's bytes as text: UTF-8 where they are valid UTF-8, else Latin-1, in which every byte means something.

    Decided line by line, so that files of both kinds can lie side by side.
    """
    return F.when(is_utf8(line), line).otherwise(F.decode(line.cast("binary"), "ISO-8859-1"))


def is_utf8(line: Column) -> Column:
    """Whether a string's bytes are valid UTF-8; null gives null."""
    latin = F.decode(line.cast("binary"), "ISO-8859-1")
    return ~F.regexp_replace(latin, _MULTIBYTE, "").rlike(_HIGH)
