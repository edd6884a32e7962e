"""Rows of a batch as files whose names depend on the batch alone: writing them again replaces them, never adds."""

import uuid

from pyspark.sql import DataFrame, SparkSession

from sentiment import storage
from sentiment.serving.rows import PARQUET, Rows

_STAGING = "_staging"


def stem(query: str, batch: int) -> str:
    """What the names of a batch's files begin with."""
    return f"{query[:8]}-{batch:08d}"


def publish(
    spark: SparkSession,
    rows: Rows | None,
    folder: str,
    query: str,
    batch: int,
    replayed: bool,
    kind: str = PARQUET,
) -> list[str]:
    """Put a batch's rows under `<folder>/date=YYYY-MM-DD/<stem>-<k>.<kind>`; gives the files.

    They are written to `<folder>/_staging/` first; before they are moved, everything of this batch goes, under
    every date.

    Args:
        spark: the session.
        rows: they have a `date` column; None: there are none.
        folder: of the dataset.
        query: id of the query.
        batch: number of the batch.
        replayed: whether an earlier attempt may have left files.
        kind: parquet, or json for rows in the executors.
    """
    name = stem(query, batch)
    # A folder of its own: what a driver that has lost the checkpoint still writes must not come in with ours.
    staging = storage.join(folder, _STAGING, f"{name}-{uuid.uuid4().hex[:8]}")
    if replayed:
        for left in storage.folders(spark, storage.join(folder, _STAGING)):
            if left.startswith(name):
                storage.delete(spark, storage.join(folder, _STAGING, left))
    if rows is not None:
        rows.write(staging, kind)
    if replayed:
        for old in storage.list_files(spark, storage.join(storage.literal(folder), "date=*", f"{name}-*.{kind}")):
            storage.delete(spark, old)
    return _moved(spark, staging, folder, name, kind) if rows is not None else []


def _moved(spark: SparkSession, staging: str, folder: str, name: str, kind: str) -> list[str]:
    moved = []
    for date in storage.folders(spark, staging):
        parts_of_date = storage.join(staging, date)
        for number, part in enumerate(sorted(storage.names(spark, parts_of_date))):
            target = storage.join(folder, date, f"{name}-{number}.{kind}")
            storage.move(spark, storage.join(parts_of_date, part), target)
            moved.append(target)
    storage.delete(spark, staging)
    return moved


def read(spark: SparkSession, folder: str, files: list[str]) -> DataFrame | None:
    """Published Parquet files with their `date`; None: no files."""
    if not files:
        return None
    return spark.read.option("basePath", folder).parquet(*map(storage.literal, files))
