"""Where messages come from: one row per message with its bytes, its coordinates and the source's own time."""

import json
import re
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any
from urllib.parse import unquote

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812

from sentiment import storage
from sentiment.jobs import DataError
from sentiment.raw_tweets import csv_columns
from sentiment.serving.checkpoint import Checkpoint
from sentiment.serving.settings import CSV_HEADER, FILE, KAFKA, Source

PAYLOAD, COORDINATES, TIME = "payload", "source", "ingest_time"
TASKS_PER_CORE = 3
"""How many tasks a batch from Kafka is cut into: with three topic partitions one of two cores would stand idle."""

FETCH_WAIT_MS = 20
"""How long the broker may wait for data that is not there. Kafka's own 500 ms are lost to the next batch: a consumer
asks ahead, at the end of its partition for what has not come yet, and a task that gets it next waits for the answer."""

SMALL_ROWS = 100_000
SMALL_BYTES = 20_000_000
"""Of files as they are; what packed ones hold is known to nobody before it is read."""

PACKED = (".gz", ".bz2", ".deflate", ".lz4", ".snappy", ".zst")
"""How the names end of files that Spark unpacks."""

_PATH, _LINE, _OCCURRENCE = "inner_path", "inner_line", "inner_occurrence"
_ADVICE = "move files into a watched folder whole, and never edit them"


def stream(spark: SparkSession, source: Source) -> DataFrame:
    """The messages as Spark's own source gives them."""
    if source.kind == KAFKA:
        return (
            spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", source.bootstrap)
            .option("kafka.isolation.level", "read_committed")
            .option("kafka.fetch.max.wait.ms", FETCH_WAIT_MS)
            .option("subscribe", source.topic)
            .option("startingOffsets", source.starting_offsets)
            .option("maxOffsetsPerTrigger", source.max_offsets)
            .option("minPartitions", TASKS_PER_CORE * spark.sparkContext.defaultParallelism)
            .option("failOnDataLoss", str(source.on_data_loss == "fail").lower())
            .load()
        )
    lines = (
        spark.readStream.format("text")
        .option("maxFilesPerTrigger", source.max_files)
        .option("maxFileAge", "36500d")
        .option("recursiveFileLookup", "true")
        .load(source.path)
    )
    return lines.select("value", "_metadata.file_path", "_metadata.file_modification_time")


def files(spark: SparkSession, paths: list[str]) -> DataFrame:
    """Finished files, in the same columns that `stream` gives for a folder; each path is a name, never a pattern."""
    # Without the second option Spark reads the other files once more for each path that looks like a pattern.
    reader = spark.read.option("__globPaths__", "false").option("recursiveFileLookup", "true")
    return reader.text(paths).select("value", "_metadata.file_path", "_metadata.file_modification_time")


def messages(batch: DataFrame, source: Source, headers: dict[str, bytes] | None = None) -> DataFrame:
    """A batch as payload (binary or null), source (coordinates) and ingest_time; with headers also inner_path.

    Args:
        batch: rows as `stream` gives them.
        source: what they come from.
        headers: the first line of each file, by path, for files that have one; that line is no message.
    """
    if source.kind == KAFKA:
        place = F.concat(F.lit("kafka:"), "topic", F.lit("/"), "partition", F.lit("/"), "offset")
        return batch.select(F.col("value").alias(PAYLOAD), place.alias(COORDINATES), F.col("timestamp").alias(TIME))
    line = F.col("value").cast("binary")
    rows = batch.select(
        line.alias(PAYLOAD),
        F.col("file_path").alias(_PATH),
        F.lower(F.hex(F.xxhash64(line))).alias(_LINE),
        F.col("file_modification_time").alias(TIME),
    )
    # Equal lines of one file are counted; which of them is first makes no difference, for they are equal.
    alike = Window.partitionBy(_PATH, _LINE).orderBy(_LINE)
    rows = rows.withColumn(_OCCURRENCE, F.row_number().over(alike) - 1)
    if headers:
        is_header = [(F.col(_PATH) == path) & (F.col(PAYLOAD) == header) for path, header in headers.items()]
        rows = rows.where(~reduce(or_, is_header) | (F.col(_OCCURRENCE) > 0))
    place = F.concat(F.lit("file:"), _PATH, F.lit("#"), _LINE, F.lit("-"), _OCCURRENCE)
    columns: list[Column] = [F.col(PAYLOAD), place.alias(COORDINATES), F.col(TIME), F.col(_PATH)]
    return rows.select(*columns)


def source_range(checkpoint: Checkpoint, source: Source, batch: int) -> dict[str, Any]:
    """What a batch is made of: per partition [from, to) offsets, or the files with length and modification time."""
    ends = checkpoint.offsets(batch)
    if ends is None:
        raise DataError(f"checkpoint {checkpoint.location}: Spark has no offsets for batch {batch}")
    starts = checkpoint.offsets(batch - 1) if batch else None
    if source.kind == KAFKA:
        begun = starts[0] if starts else _first_offsets(checkpoint)
        return {
            topic: {number: [begun.get(topic, {}).get(number, 0), end] for number, end in partitions.items()}
            for topic, partitions in ends[0].items()
        }
    since = starts[0]["logOffset"] if starts else -1
    listed = _files_between(checkpoint, since, ends[0]["logOffset"])
    known = {path: _present(checkpoint.spark, path) for path in listed}
    for path, (length, modified) in known.items():
        if modified != listed[path]:  # Spark reads what was there when it listed the file, and no byte of the rest
            raise FileChangedError(
                f"{path}: want the file as it was when it was found, found it changed since ({length} bytes); {_ADVICE}"
            )
    return {path: list(values) for path, values in known.items()}


def is_small(source: Source, known: dict[str, Any]) -> bool:
    """Whether a driver holds the batch of that source range easily, whatever its rows are."""
    if source.kind == KAFKA:
        rows = sum(end - begin for partitions in known.values() for begin, end in partitions.values())
        return bool(rows <= SMALL_ROWS)
    packed = any(path.endswith(PACKED) for path in known)
    return not packed and sum(length for length, _ in known.values()) <= SMALL_BYTES


def has_small_batches(source: Source) -> bool:
    """Whether no batch can be large: Kafka's have a limit."""
    return source.kind == KAFKA and source.max_offsets <= SMALL_ROWS


def check_files(spark: SparkSession, source: Source, known: dict[str, Any]) -> None:
    """FileChangedError if a file of a batch is no longer what it was when the batch was planned, or gone."""
    if source.kind == FILE:
        for path, planned in known.items():
            _check_same(path, planned, _present(spark, path))


def check_unchanged(spark: SparkSession, source: Source, known: dict[str, Any]) -> None:
    """FileChangedError if a file of a batch is another one by now; it may be gone, if nobody is to read it again."""
    if source.kind == FILE:
        for path, planned in known.items():
            found = storage.status(spark, unquote(path))
            if found is not None:
                _check_same(path, planned, found)


def _check_same(path: str, planned: Sequence[int], found: tuple[int, int]) -> None:
    length, modified = planned
    if found != (length, modified):
        raise FileChangedError(
            f"{path}: want the file as it was when its batch began ({length} bytes), "
            f"found it changed ({found[0]} bytes); {_ADVICE}"
        )


class FileChangedError(DataError):
    """A file was changed after its batch had been planned: nothing that is written now would be true."""


def headers(spark: SparkSession, source: Source, paths: list[str]) -> dict[str, bytes]:
    """The first line of each file that names columns in it, by the file's path in rows; none if the format has none.

    Args:
        spark: the session.
        source: what the files are.
        paths: as Spark's log of files has them (file:///a.csv), or its rows (file:/a.csv).
    """
    if source.kind != FILE or source.format != CSV_HEADER:
        return {}
    line = F.col("value").cast("binary").alias("value")
    firsts = {re.sub("^file:/+", "file:/", path): files(spark, [unquote(path)]).select(line).first() for path in paths}
    found = {path: bytes(row["value"]) for path, row in firsts.items() if row is not None}
    return {path: header for path, header in found.items() if any(csv_columns(header))}


def list_inputs(spark: SparkSession, location: str) -> list[str]:
    """Files to score once: one file, or all below a folder, whatever their names: those that the stream reads."""
    found = storage.list_files(spark, location)
    if not found:
        raise DataError(f"--input {location}: want a file or a folder of files, found nothing")
    return found


def _first_offsets(checkpoint: Checkpoint) -> dict[str, dict[str, int]]:
    """Where the Kafka source began: Spark keeps it in the checkpoint."""
    text = storage.read_text(checkpoint.spark, checkpoint.path("sources", "0", "0"))
    found: dict[str, dict[str, int]] = json.loads(text[text.index("{") :])
    return found


def _files_between(checkpoint: Checkpoint, since: int, until: int) -> dict[str, int]:
    """What Spark's file source put into its log after entry `since` up to `until`: paths, with modification times."""
    folder = checkpoint.path("sources", "0")
    names = storage.names(checkpoint.spark, folder)
    found = {}
    for number in range(since + 1, until + 1):
        name = str(number) if str(number) in names else f"{number}.compact"
        for line in storage.read_text(checkpoint.spark, storage.join(folder, name)).splitlines()[1:]:
            entry = json.loads(line)
            if entry["batchId"] == number:
                found[entry["path"]] = entry["timestamp"]
    return dict(sorted(found.items()))


def _present(spark: SparkSession, path: str) -> tuple[int, int]:
    found = storage.status(spark, unquote(path))
    if found is None:
        raise FileChangedError(f"{path}: want the file as it was when its batch began, found none")
    return found
