"""Where each dataset lies and what its columns are: the contract between the jobs."""

from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import hadoop, storage
from sentiment.jobs import DataError

TWEETS = "tweets"
REJECTS = "rejects"
REPORT = "data_report.json"
SPLITS_REPORT = "splits.json"

CLEAN_SCHEMA = {"id": "string", "text": "string", "label": "double"}
SPLIT_NAMES = ["train", "dev", "test"]
DEV, TEST = SPLIT_NAMES[1:]


def read_clean(spark: SparkSession, location: str, argument: str) -> DataFrame:
    """Clean tweets (id, text, label) from a Parquet folder; `argument` names the flag in errors."""
    wanted = f"{argument}: want a Parquet folder of clean tweets at {location}"
    if not storage.list_files(spark, location):
        raise DataError(f"{wanted}, found nothing")
    with hadoop.telling(wanted):
        frame = spark.read.parquet(storage.literal(location))
    found: dict[str, Any] = dict(frame.dtypes)
    if any(found.get(column) != kind for column, kind in CLEAN_SCHEMA.items()):
        wanted = ", ".join(f"{column} {kind}" for column, kind in CLEAN_SCHEMA.items())
        raise DataError(f"{argument}: want columns {wanted} in {location}, found {_described(found)}")
    return frame.select(*CLEAN_SCHEMA)


def digest(frame: DataFrame) -> tuple[str, int]:
    """A digest of clean tweets that depends on texts and labels alone, not on their order, and the number of rows."""
    row = frame.agg(F.bit_xor(F.xxhash64("text", "label")).alias("hash"), F.count(F.lit(1)).alias("rows")).first()
    assert row is not None
    return f"{row['hash'] & (2**64 - 1):016x}-{row['rows']}", row["rows"]


def _described(columns: dict[str, str]) -> str:
    return ", ".join(f"{column} {kind}" for column, kind in columns.items()) or "no column"
