"""Predictions of each window, counted into the bins of the training profile."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce
from operator import add

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import storage, text
from sentiment.drift.bins import LENGTH, OTHER, SCORE, TOKENS, Bins
from sentiment.drift.windows import Window
from sentiment.jobs import DataError
from sentiment.serving import files

COLUMNS = ["text", "prediction", "score", "model_name", "model_version", "ingest_time"]
WINDOW = "window"
_DATE = "date="
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def count(
    spark: SparkSession,
    location: str,
    windows: list[Window],
    features: dict[str, Bins],
    model: str,
    version: str,
    *,
    may_be_empty: bool = False,
) -> list[Window]:
    """The windows with what the predictions under `location` hold for them, by `ingest_time`.

    Args:
        spark: the session.
        location: folder of predictions (date=YYYY-MM-DD/).
        windows: adjacent and of one width, the oldest first.
        features: the bins of the training profile.
        model: registered model.
        version: whose rows are counted; those of others are left out and their number is kept.
        may_be_empty: whether there may be no predictions of any day.

    Raises:
        DataError: there are none, or they have other columns.
    """
    rows = _read(spark, location, windows, may_be_empty)
    if rows is None:
        return windows
    placed = rows.withColumn(WINDOW, _place(windows)).where(F.col(WINDOW).between(0, len(windows) - 1))
    mine = (F.col("model_name") == model) & (F.col("model_version") == version)
    census = (
        placed.groupBy(WINDOW, "model_name", "model_version", mine.alias("mine"))
        .agg(F.count(F.lit(1)).alias("rows"), F.count_if(F.col("prediction") == 1.0).alias("positives"))
        .collect()
    )
    filled = placed.where(mine).select(WINDOW, F.explode(F.concat(*_bins(features))).alias("one"))
    found = filled.groupBy(WINDOW, "one.feature", "one.bin").agg(F.sum("one.number").alias("rows")).collect()
    counted = {(row[WINDOW], row["feature"], row["bin"]): int(row["rows"]) for row in found}
    complete = []
    for place, window in enumerate(windows):
        here = [row for row in census if row[WINDOW] == place]
        own = [row for row in here if row["mine"]]
        counts = {
            name: [counted.get((place, name, str(bin_)), 0) for bin_ in range(len(bins.labels))]
            for name, bins in features.items()
        }
        others = {f"{row['model_name']} version {row['model_version']}": row["rows"] for row in here if not row["mine"]}
        complete.append(
            replace(
                window,
                rows=sum(row["rows"] for row in own),
                positives=sum(row["positives"] for row in own),
                others=dict(sorted(others.items())),
                counts=counts,
            )
        )
    return complete


def _read(spark: SparkSession, location: str, windows: list[Window], may_be_empty: bool) -> DataFrame | None:
    """The predictions of the days that the windows touch; None: there are none of these days."""
    dates = [name for name in storage.folders(spark, location) if name.startswith(_DATE)]
    if not dates and not may_be_empty:
        raise DataError(f"--input {location}: want predictions under date=YYYY-MM-DD/, found none")
    first, last = windows[0].begin.date(), (windows[-1].end - _MICROSECOND).date()
    wanted = [name for name in dates if f"{_DATE}{first}" <= name <= f"{_DATE}{last}"]
    inside = storage.literal(location)
    named = [file for name in wanted for file in storage.list_files(spark, storage.join(inside, name, "*.parquet"))]
    rows = files.read(spark, location, named)
    if rows is not None and (missing := [name for name in COLUMNS if name not in rows.columns]):
        raise DataError(f"--input {location}: want columns {', '.join(COLUMNS)}, found no {', '.join(missing)}")
    return rows


def _place(windows: list[Window]) -> Column:
    """The place of a row's window in the list; outside of all of them below 0, beyond the last, or null."""
    first = (windows[0].begin - _EPOCH) // _MICROSECOND
    width = (windows[0].end - windows[0].begin) // _MICROSECOND
    return F.floor((F.unix_micros("ingest_time") - F.lit(first)) / F.lit(width)).cast("int")


def _bins(features: dict[str, Bins]) -> Iterator[Column]:
    """Arrays of (feature, bin, number): what one row adds."""
    for name, value in ((SCORE, F.col("score")), (LENGTH, F.length("text").cast("double"))):
        passed = reduce(add, ((value > edge).cast("int") for edge in features[name].edges), F.lit(0))
        yield F.array(_one(name, F.coalesce(passed, F.lit(0)).cast("string"), F.lit(1)))
    top = features[TOKENS].tokens
    all_tokens = F.expr(text.distinct_tokens("text"))
    places = F.create_map(*(F.lit(each) for place, token in enumerate(top) for each in (token, str(place))))
    known = F.array_intersect(all_tokens, F.array(*map(F.lit, top)))
    yield F.transform(known, lambda token: _one(TOKENS, places[token], F.lit(1)))
    rest = F.size(all_tokens) - F.size(known)
    yield F.array(_one(TOKENS, F.lit(str(features[TOKENS].labels.index(OTHER))), rest))


def _one(feature: str, bin_: Column, number: Column) -> Column:
    return F.struct(F.lit(feature).alias("feature"), bin_.alias("bin"), number.cast("long").alias("number"))
