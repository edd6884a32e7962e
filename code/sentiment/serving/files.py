"""Rows of a batch as files whose names depend on the batch alone: writing them again replaces them, never adds."""

import uuid
from collections.abc import Callable

from pyspark.sql import DataFrame, SparkSession

from sentiment import storage
from sentiment.jobs import DataError
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
    check: Callable[[], None] = lambda: None,
) -> list[str]:
    """Put a batch's rows under `<folder>/date=YYYY-MM-DD/<stem>-<k>.<kind>`; gives the files.

    They are written to `<folder>/_staging/` first; before they are moved, everything of this batch goes, under
    every date, unless what was staged is there no more.

    Args:
        spark: the session.
        rows: they have a `date` column; None: there are none.
        folder: of the dataset.
        query: id of the query.
        batch: number of the batch.
        replayed: whether an earlier attempt may have left files.
        kind: parquet, or json for rows in the executors.
        check: raises when somebody else has the folder by now; called before each step that removes or replaces files.

    Raises:
        DataError: somebody has removed what was staged; or what `check` raises.
    """
    name = stem(query, batch)
    # A folder of its own: what a driver that has lost the checkpoint still writes must not come in with ours.
    staging = storage.join(folder, _STAGING, f"{name}-{uuid.uuid4().hex[:8]}")
    if replayed:
        check()
        for left in storage.folders(spark, storage.join(folder, _STAGING)):
            if left.startswith(name):
                storage.delete(spark, storage.join(folder, _STAGING, left))
    if rows is not None:
        rows.write(staging, kind)
    staged = _staged(spark, staging) if rows is not None else []
    if replayed:
        check()
        for old in published(spark, folder, query, batch, kind):
            storage.delete(spark, old)
    moved = []
    for date, number, part in staged:
        target = storage.join(folder, date, f"{name}-{number}.{kind}")
        check()
        storage.move(spark, storage.join(staging, date, part), target)
        moved.append(target)
    if moved:
        storage.delete(spark, staging)
    return moved


def published(spark: SparkSession, folder: str, query: str, batch: int, kind: str = PARQUET) -> list[str]:
    """A batch's files that are there, under every date."""
    return storage.list_files(spark, storage.join(storage.literal(folder), "date=*", f"{stem(query, batch)}-*.{kind}"))


def _staged(spark: SparkSession, staging: str) -> list[tuple[str, int, str]]:
    """Date, number and name of each file that was staged; DataError where there is none."""
    found = [
        (date, number, part)
        for date in storage.folders(spark, staging)
        for number, part in enumerate(sorted(storage.names(spark, storage.join(staging, date))))
    ]
    if not found:
        raise DataError(f"{staging}: want the batch's files, found that somebody has removed them")
    return found


def read(spark: SparkSession, folder: str, files: list[str]) -> DataFrame | None:
    """Published Parquet files with their `date`; None: no files."""
    if not files:
        return None
    return spark.read.option("basePath", folder).parquet(*map(storage.literal, files))
