"""Rows of a batch, in Spark's executors or in the driver: how they become files, and records of a topic."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import pyarrow as pa
from pyarrow import dataset
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import whole_folders
from sentiment.serving.scoring import TIMES, VALUE
from sentiment.serving.sources import COORDINATES

PARQUET = "parquet"
ROWS_PER_FILE = 100_000
ROWS_AT_ONCE = 100_000
BYTES_AT_ONCE = 64_000_000
"""Records that the driver holds in memory, on average of a batch's parts; Spark's own limit of a result is 1 GB."""

Chunk: TypeAlias = tuple[list[str], list[bytes], list[str]]


class Rows(Protocol):
    """Rows of one dataset, one at least, with inner_value where a topic wants their records.

    Attributes:
        count: how many.
    """

    @property
    def count(self) -> int: ...

    def write(self, folder: str, kind: str) -> None:
        """Make the new folder `folder`, with files of that kind under date=YYYY-MM-DD/; inner_value stays out."""
        ...

    def records(self, key: str) -> Iterator[Chunk]:
        """Keys (the column `key`), values and sources, as many at once as the driver holds easily."""
        ...


@dataclass(frozen=True)
class SparkRows:
    """However many rows, in the executors."""

    frame: DataFrame
    count: int

    def write(self, folder: str, kind: str) -> None:
        """See Rows."""
        frame = self.frame.drop(VALUE)
        parts = math.ceil(self.count / ROWS_PER_FILE)
        whole = frame.coalesce(1) if parts == 1 else frame.repartition(parts, *frame.columns[:1])
        writer = whole.write.mode("overwrite").partitionBy("date").option("maxRecordsPerFile", ROWS_PER_FILE)
        writer.options(**TIMES).format(kind).save(folder)

    def records(self, key: str) -> Iterator[Chunk]:
        """See Rows."""
        size = F.sum(sum((F.octet_length(name) for name in (key, VALUE, COORDINATES)), F.lit(0)))
        (octets,) = self.frame.agg(size).collect()[0]
        parts = max(math.ceil(self.count / ROWS_AT_ONCE), math.ceil((octets or 0) / BYTES_AT_ONCE))
        for part in range(parts):
            mine = F.pmod(F.xxhash64(COORDINATES), F.lit(parts)) == part
            some = self.frame.where(mine) if parts > 1 else self.frame
            table: Any = some.select(F.col(key).alias("key"), VALUE, F.col(COORDINATES).alias("place")).toPandas()
            yield table["key"].tolist(), table[VALUE].tolist(), table["place"].tolist()


@dataclass(frozen=True)
class ArrowRows:
    """Rows that the driver's memory holds easily."""

    spark: SparkSession
    table: pa.Table

    @property
    def count(self) -> int:
        """See Rows."""
        return int(self.table.num_rows)

    def write(self, folder: str, kind: str) -> None:
        """See Rows; Parquet is the only kind."""
        assert kind == PARQUET
        table = self.table.select([name for name in self.table.column_names if name != VALUE])
        by_date = dataset.partitioning(pa.schema([table.schema.field("date")]), flavor="hive")
        with whole_folders.filling(self.spark, folder) as local:
            dataset.write_dataset(
                table,
                local,
                format=PARQUET,
                partitioning=by_date,
                basename_template="{i}.parquet",
                max_rows_per_file=ROWS_PER_FILE,
                max_rows_per_group=ROWS_PER_FILE,
                use_threads=False,
            )

    def records(self, key: str) -> Iterator[Chunk]:
        """See Rows."""
        keys, values, sources = (self.table[name].to_pylist() for name in (key, VALUE, COORDINATES))
        yield keys, values, sources
