"""Rows of a batch as files whose names depend on the batch alone: writing them again replaces them, never adds."""

import math
import uuid

import pyarrow as pa
from pyarrow import dataset
from pyspark.sql import DataFrame, SparkSession

from sentiment import storage
from sentiment.serving.held import Rows

ROWS_PER_FILE = 100_000
_STAGING = "_staging"


def stem(query: str, batch: int) -> str:
    """What the names of a batch's files begin with."""
    return f"{query[:8]}-{batch:08d}"


def publish(
    spark: SparkSession,
    rows: Rows | None,
    count: int,
    folder: str,
    query: str,
    batch: int,
    replayed: bool,
    kind: str = "parquet",
) -> list[str]:
    """Put a batch's rows under `<folder>/date=YYYY-MM-DD/<stem>-<k>.<kind>`; gives the files.

    They are written to `<folder>/_staging/` first; before they are moved, everything of this batch goes, under
    every date.

    Args:
        spark: the session.
        rows: they have a `date` column; None: there are none.
        count: how many.
        folder: of the dataset.
        query: id of the query.
        batch: number of the batch.
        replayed: whether an earlier attempt may have left files.
        kind: parquet, or json for rows of Spark.
    """
    name = stem(query, batch)
    # A folder of its own: what a driver that has lost the checkpoint still writes must not come in with ours.
    staging = storage.join(folder, _STAGING, f"{name}-{uuid.uuid4().hex[:8]}")
    if replayed:
        for left in storage.folders(spark, storage.join(folder, _STAGING)):
            if left.startswith(name):
                storage.delete(spark, storage.join(folder, _STAGING, left))
    if isinstance(rows, DataFrame):
        _write(rows, count, staging, kind)
    elif rows is not None:
        _write_table(spark, rows, staging)
    if replayed:
        for old in storage.list_files(spark, storage.join(folder, "date=*", f"{name}-*.{kind}")):
            storage.delete(spark, old)
    return _moved(spark, staging, folder, name, kind) if rows is not None else []


def _moved(spark: SparkSession, staging: str, folder: str, name: str, kind: str) -> list[str]:
    moved = []
    for date in storage.folders(spark, staging):
        parts_of_date = storage.join(staging, date)
        for number, part in enumerate(sorted(storage.statuses(spark, parts_of_date))):
            target = storage.join(folder, date, f"{name}-{number}.{kind}")
            storage.move(spark, storage.join(parts_of_date, part), target)
            moved.append(target)
    storage.delete(spark, staging)
    return moved


def _write(frame: DataFrame, count: int, folder: str, kind: str) -> None:
    parts = math.ceil(count / ROWS_PER_FILE)
    whole = frame.coalesce(1) if parts == 1 else frame.repartition(parts, *frame.columns[:1])
    writer = whole.write.mode("overwrite").partitionBy("date").option("maxRecordsPerFile", ROWS_PER_FILE)
    writer.format(kind).save(folder)


def _write_table(spark: SparkSession, table: pa.Table, folder: str) -> None:
    by_date = dataset.partitioning(pa.schema([table.schema.field("date")]), flavor="hive")
    with storage.filling(spark, folder) as local:
        dataset.write_dataset(
            table,
            local,
            format="parquet",
            partitioning=by_date,
            basename_template="{i}.parquet",
            max_rows_per_file=ROWS_PER_FILE,
            max_rows_per_group=ROWS_PER_FILE,
            use_threads=False,
        )


def read(spark: SparkSession, folder: str, files: list[str]) -> DataFrame | None:
    """Published Parquet files with their `date`; None: no files."""
    if not files:
        return None
    return spark.read.option("basePath", folder).parquet(*files)
