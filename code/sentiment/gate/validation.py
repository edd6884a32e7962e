"""The rows that both versions are judged on, and how they were divided from those that are trained on."""

import json
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import datasets, splits, storage, text
from sentiment.datasets import TEST
from sentiment.gate import nearby
from sentiment.jobs import DataError
from sentiment.splits import Splitting
from sentiment.tracking import java_line

FLAG = "--validation-data"

SLICES = {
    "short": ("characters", "< 40"),
    "long": ("characters", "> 100"),
    "negation": ("negated", "> 0"),
    "link": ("links", "> 0"),
    "mention": ("mentions", "> 0"),
}
"""Name of a slice: the statistic of text.py that decides, and which of its values belong."""

SLICE_HELP = {
    "short": "fewer than 40 characters",
    "long": "more than 100 characters",
    "negation": "a word after a negation",
    "link": "a link",
    "mention": "a mention",
}


@dataclass(frozen=True)
class Validation:
    """Validation rows.

    Attributes:
        test: their folder.
        splitting: train_ratio, val_ratio, seed and hash_salt of the division.
        digest: of the rows, whatever their order.
        counts: negative and positive rows.
        rows: id, text, label and one flag per slice, by name of the slice; in the order of the ids.
    """

    test: str
    splitting: dict[str, Any]
    digest: str
    counts: dict[str, int]
    rows: pd.DataFrame


def read(spark: SparkSession, location: str) -> Validation:
    """The test rows of splits that create_splits.py wrote.

    Args:
        spark: the session.
        location: the folder of the splits, or its test/ folder.

    Raises:
        DataError: no splits.json, another format, other columns, or not both labels.
    """
    asked = location.rstrip("/") or "/"
    try:
        with nearby.copied(spark, asked) as near:
            found = _read(spark, near)
    except DataError as error:
        told = str(error)
        raise DataError(told if told.startswith(FLAG) else f"{FLAG} {location}: {told}") from error
    if found.rows["text"].isna().any() or not found.rows["label"].isin((0.0, 1.0)).all():
        raise DataError(f"{FLAG} {location}: want a text and a label of 0 or 1 in every row, found rows without")
    return replace(found, test=asked + found.test.removeprefix(near))


def _read(spark: SparkSession, location: str) -> Validation:
    test = location
    try:
        test, splitting = _find(spark, location)
        frame = datasets.read_clean(spark, test, FLAG)
        counts = splits.count_labels({TEST: frame})[TEST]
        digest, _ = datasets.digest(frame)
        rows = with_slices(frame).toPandas().sort_values(["id", "text"], ignore_index=True)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{FLAG}: want a Parquet folder of clean tweets at {test}, found {java_line(error)}") from error
    return Validation(test, splitting, digest, counts, rows)


def _find(spark: SparkSession, location: str) -> tuple[str, dict[str, Any]]:
    """The folder of the test rows, and how they were divided."""
    inside = storage.join(location, datasets.SPLITS_REPORT)
    if storage.exists(spark, inside):
        return storage.join(location, TEST), _splitting(spark, inside)
    parent, _, name = location.rpartition("/")
    beside = storage.join(parent, datasets.SPLITS_REPORT) if parent else datasets.SPLITS_REPORT
    if not storage.exists(spark, beside):
        raise DataError(
            f"{FLAG} {location}: want a folder that create_splits.py wrote, or its {TEST}/, "
            f"found no {datasets.SPLITS_REPORT} in it or beside it"
        )
    if name != TEST:
        raise DataError(f"{FLAG} {location}: want the {TEST} split, which no training looks at, found {name}")
    return location, _splitting(spark, beside)


def _splitting(spark: SparkSession, location: str) -> dict[str, Any]:
    try:
        report = json.loads(storage.read_text(spark, location))
        return {name: report[name] for name in Splitting().described()}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{FLAG}: want how the splits were made in {location}, found no such report") from error


def with_slices(frame: DataFrame) -> DataFrame:
    """id, text and label of clean tweets, and whether each is in a slice: one flag for each of SLICES, by its name."""
    statistics = dict(zip(text.STATISTICS, text.statistics("text", "inner_tokens"), strict=True))
    flags = [f"{statistics[name]} {limit} AS {slice_}" for slice_, (name, limit) in SLICES.items()]
    return frame.withColumn("inner_tokens", F.expr(text.tokens("text"))).selectExpr("id", "text", "label", *flags)
