"""Train, dev and test by a hash of the normalised text, so that no text stands in two of them."""

import json
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import storage, whole_folders
from sentiment.datasets import SPLIT_NAMES, SPLITS_REPORT
from sentiment.jobs import DataError
from sentiment.text import normalised

_STEPS = 1_000_000


@dataclass(frozen=True)
class Splitting:
    """How rows are divided: the share for train, the share for dev (the rest is test), and the seed of the hash."""

    train_ratio: float = 0.8
    val_ratio: float = 0.1
    seed: int = 42

    @property
    def salt(self) -> str:
        """What is hashed in front of each text."""
        return f"split-{self.seed}"

    def described(self) -> dict[str, Any]:
        """The division as plain values, for reports and runs."""
        return {**asdict(self), "hash_salt": self.salt}


def hashed(salt: str, text: str = "text") -> Column:
    """A 64-bit hash (long) of the normalised text; the same whatever the partitioning, the run or the Spark version."""
    squeezed = F.trim(F.regexp_replace(F.expr(normalised(text)), " {2,}", " "))
    return F.xxhash64(F.lit(salt), squeezed)


def bucket(salt: str, buckets: int, text: str = "text") -> Column:
    """A whole number from 0 to `buckets` - 1 drawn by the hash of the text."""
    return F.pmod(hashed(salt, text), F.lit(buckets)).cast("int")


def split_name(splitting: Splitting) -> Column:
    """The split (train, dev or test) of each row, by column text."""
    place = bucket(splitting.salt, _STEPS) / _STEPS
    train, dev, test = SPLIT_NAMES
    return (
        F.when(place < splitting.train_ratio, train)
        .when(place < splitting.train_ratio + splitting.val_ratio, dev)
        .otherwise(test)
    )


def divide(clean: DataFrame, splitting: Splitting) -> dict[str, DataFrame]:
    """Clean tweets of each split, by its name; the rows are persisted together, once."""
    named = clean.withColumn("split", split_name(splitting)).persist()
    return {name: named.where(F.col("split") == name).drop("split") for name in SPLIT_NAMES}


def thinned(clean: DataFrame, fraction: float, max_rows: int, seed: int) -> DataFrame:
    """A stratified part of the clean tweets, chosen by hash.

    Args:
        clean: clean tweets.
        fraction: share of each label to keep, 0 to 1.
        max_rows: at most that many rows, half of each label; 0 keeps all.
        seed: of the hash.
    """
    if fraction < 1:
        clean = clean.where(bucket(f"sample-{seed}", _STEPS) < fraction * _STEPS)
    if max_rows:
        order = [hashed(f"rows-{seed}"), F.col("id")]
        # Spark makes room for as many rows as a limit says, whether they are there or not: no limit where none is met.
        there = {row["label"]: row["count"] for row in clean.groupBy("label").count().collect()}
        halves = []
        for label, rows in ((0.0, max_rows // 2), (1.0, max_rows - max_rows // 2)):
            half = clean.where(F.col("label") == label)
            halves.append(half if there.get(label, 0) <= rows else half.orderBy(*order).limit(rows))
        clean = halves[0].unionByName(halves[1])
    return clean


def write(spark: SparkSession, divided: dict[str, DataFrame], report: dict[str, Any], location: str) -> None:
    """Replace the folder's splits by these, and say in splits.json how they were made.

    A job that dies half-way leaves splits of two draws side by side, in which train may hold texts of test: without
    splits.json, which goes first and comes last, nobody takes them.

    Args:
        spark: the session.
        divided: clean tweets by the name of the split.
        report: `Splitting.described()`, and what else a reader wants to know.
        location: the folder.
    """
    told = storage.join(location, SPLITS_REPORT)
    storage.delete(spark, told)
    for name in SPLIT_NAMES:
        if name in divided:
            whole_folders.replace(divided[name], storage.join(location, name))
        else:
            storage.delete(spark, storage.join(location, name))
    storage.write_json(spark, told, report)


def read_report(spark: SparkSession, location: str) -> dict[str, Any]:
    """How splits that were written earlier had been made (train_ratio, val_ratio, seed, hash_salt)."""
    if not storage.exists(spark, location):
        raise DataError(f"--data: want a folder that create_splits.py wrote, found no {location}")
    try:
        report = json.loads(storage.read_text(spark, location))
        return {key: report[key] for key in Splitting().described()}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"--data: want how the splits were made in {location}, found no such report ({error})"
        ) from error


def count_labels(splits: dict[str, DataFrame]) -> dict[str, dict[str, int]]:
    """Rows of each label in each split; a split without one of the labels is refused."""
    counts = _counted(splits)
    for name, labels in counts.items():
        missing = [label for label, count in labels.items() if not count]
        if missing:
            raise DataError(f"the {name} split has no {' and no '.join(missing)} row: want both labels in every split")
    return counts


def check_thinned(splits: dict[str, DataFrame], least: int) -> None:
    """Raise DataError unless what `thinned` has left, divided, holds so many rows of each label."""
    counts = _counted(splits).values()
    for label in ("negative", "positive"):
        left = sum(labels[label] for labels in counts)
        if left < least:
            raise DataError(
                f"--max-rows, --sample-fraction: want them to leave at least {least} rows of each label, "
                f"found {left:,} {label} rows"
            )


def _counted(splits: dict[str, DataFrame]) -> dict[str, dict[str, int]]:
    frames = [frame.select("label", F.lit(name).alias("split")) for name, frame in splits.items()]
    rows = reduce(DataFrame.unionByName, frames).groupBy("split", "label").count().collect()
    counted = {(row["split"], row["label"]): row["count"] for row in rows}
    return {name: {"negative": counted.get((name, 0.0), 0), "positive": counted.get((name, 1.0), 0)} for name in splits}
