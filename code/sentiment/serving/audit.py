"""Is every message there once? The checkpoint's manifests against predictions, dead letters and topics."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import hadoop, storage
from sentiment.jobs import DataError
from sentiment.serving.checkpoint import INTENTS, MANIFESTS, Checkpoint
from sentiment.serving.settings import KAFKA

Spans = dict[str, dict[str, tuple[int, int]]]
"""Offsets [from, to) by partition, by topic."""

OUTPUT_TOPIC = "--kafka-output-topic"
COLUMNS = "source string, query_id string, batch_id long, model_name string, model_version string"
"""What is read of a file; dead letters have no model."""

HASHED = ["source", "id", "text", "prediction", "score", "model_name", "model_version"]


@dataclass
class Findings:
    """What an audit saw.

    Attributes:
        checked: figures, by name.
        gaps: what is wrong, one line each, the earliest first; empty: all is well.
    """

    checked: dict[str, int] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)


class _Written(NamedTuple):
    """A topic that a stream writes to: its flag, which rows it has, since which batch, and how their number is called.

    What an older life wrote, it may have written to another topic.
    """

    flag: str
    topic: str
    which: str
    figure: str
    since: int


def audit(
    spark: SparkSession, checkpoint: str, output: str, dead_letters: str, bootstrap: str, output_bootstrap: str = ""
) -> Findings:
    """Compare what the manifests promise with what is there; batches without manifest are still in work.

    Args:
        spark: the session.
        checkpoint: of the stream.
        output: folder of the predictions.
        dead_letters: folder of the dead letters; empty: the one that the stream was started with.
        bootstrap: broker, to check input and output topics too; empty: they are not looked at. What it has deleted
            cannot be checked: `input_deleted` counts offsets of the input, `output_deleted` rows that the output
            topics no longer have.
        output_bootstrap: broker of the output topics; empty: the same.

    Raises:
        DataError: no complete batch, a broker that does not answer, or a topic that it has not.
    """
    memory = Checkpoint(spark, checkpoint)
    query, settings = memory.query_id(), memory.settings()
    manifests = _manifests(memory)
    if not manifests:
        raise DataError(f"--checkpoint {checkpoint}: want a stream with complete batches, found none")
    output_bootstrap = output_bootstrap or bootstrap
    written = _written(memory, manifests, settings) if output_bootstrap else []
    for each in written:
        _firsts(output_bootstrap, each.topic, each.flag)  # before all that takes long
    found = Findings(gaps=list(_gaps_in_manifests(manifests, settings)))
    last = max(manifests)
    rows = _rows(spark, query, last, output, dead_letters or settings["--dead-letter-path"])
    with hadoop.telling(f"--output-path {output}"):
        found.checked = {
            "batches": len(manifests),
            "rows_in": sum(each["rows_in"] for each in manifests.values()),
            "predictions": rows.where("alive").count(),
            "dead_letters": rows.where("NOT alive").count(),
        }
    found.gaps += _gaps_in_rows(rows, manifests)
    if bootstrap and settings["--source-type"] == KAFKA:
        taken = _taken(manifests)
        kept = _kept(bootstrap, taken)
        found.checked["input_deleted"] = _offsets(taken) - _offsets(kept)
        found.gaps += _gaps_against_input(spark, bootstrap, rows, kept)
    for each in written:
        records = _records(spark, output_bootstrap, each.topic, query, last).persist()
        found.checked[each.figure] = records.count()
        cut = _cut(_firsts(output_bootstrap, each.topic, each.flag), records, last)
        _compare(found, each, rows.where(each.which), records, cut)
    if not found.checked["rows_in"]:
        found.gaps.append("the stream took in no message: nothing was checked")
    return found


def digest(spark: SparkSession, output: str) -> str:
    """A hash of all predictions under a folder: what was said about which message by which model, in no order.

    Over source, id, text, prediction, score to 9 decimals, model_name and model_version of each row, sorted.
    """
    folder = storage.literal(output)
    if not storage.list_files(spark, storage.join(folder, "date=*", "*.parquet")):
        raise DataError(f"--output-path {output}: want predictions, found none")
    columns: list[Column] = [F.col(name) for name in HASHED if name != "score"]
    row = F.sha2(F.to_json(F.struct(*columns, F.format_string("%.9f", "score").alias("score"))), 256)
    with hadoop.telling(f"--output-path {output}"):
        rows = spark.read.parquet(folder).select(row.alias("row"))
        buckets = rows.groupBy(F.substring("row", 1, 3).alias("bucket"))
        sums = buckets.agg(F.sha2(F.concat_ws("", F.sort_array(F.collect_list("row"))), 256).alias("sum"))
        total = sums.agg(F.sort_array(F.collect_list(F.struct("bucket", "sum"))).alias("all"))
        first = total.select(F.sha2(F.concat_ws("", F.col("all.sum")), 256).alias("hash")).first()
    assert first is not None
    return str(first["hash"])


def _manifests(memory: Checkpoint) -> dict[int, dict[str, Any]]:
    found = {number: memory.read(MANIFESTS, number) for number in memory.batches(MANIFESTS)}
    return {number: manifest for number, manifest in found.items() if manifest is not None}


def _gaps_in_manifests(manifests: dict[int, dict[str, Any]], settings: dict[str, str]) -> Iterator[str]:
    reached: dict[str, int] = {}
    for number in range(max(manifests) + 1):
        if number not in manifests:
            yield f"batch {number} has no manifest, later ones have"
            continue
        manifest = manifests[number]
        if manifest["rows_in"] != manifest["rows_out"] + manifest["dead_letters"]:
            yield (
                f"batch {number}: {manifest['rows_in']} rows in, "
                f"{manifest['rows_out']} predictions + {manifest['dead_letters']} dead letters out"
            )
        if settings["--source-type"] != KAFKA:
            continue
        for topic, partitions in manifest["source"].items():
            for partition, (begin, end) in partitions.items():
                place = f"{topic}/{partition}"
                if place in reached and reached[place] != begin:
                    yield f"batch {number}: {place} begins at {begin}, the batch before ended at {reached[place]}"
                reached[place] = end


def _written(memory: Checkpoint, manifests: dict[int, dict[str, Any]], settings: dict[str, str]) -> list[_Written]:
    """The topics that the stream writes to; of those that it had for dead letters, life by life, the last."""
    from sentiment.serving.attempt import DEAD  # loads MLflow, which an audit without topics does without

    found = []
    if settings[OUTPUT_TOPIC]:
        found.append(_Written(OUTPUT_TOPIC, settings[OUTPUT_TOPIC], "alive", "kafka_records", 0))
    topic, since = None, 0
    for number in sorted((each for each in manifests if manifests[each]["dead_letters"]), reverse=True):
        named = (memory.read(INTENTS, number) or {}).get("topics", {}).get(DEAD, {}).get("name", "")
        if not named or topic not in (None, named):
            break
        topic, since = named, number
    if topic:
        found.append(_Written("--dead-letter-topic", topic, "NOT alive", "kafka_dead_letters", since))
    return found


def _rows(spark: SparkSession, query: str, last: int, output: str, dead_letters: str) -> DataFrame:
    """source, batch, alive, model of every row of the query's complete batches."""
    rows = spark.createDataFrame([], "source string, batch long, alive boolean, model string")
    for folder, alive in ((output, True), (dead_letters, False)):
        if not any(name.startswith("date=") for name in storage.folders(spark, folder)):
            continue
        # Whatever the files' names are: who reads the folder reads a copied one too. By folder: 5,000 paths take 30 s.
        reader = spark.read.schema(COLUMNS).option("pathGlobFilter", "*.parquet")
        read = reader.parquet(storage.join(storage.literal(folder), "date=*"))
        mine = read.where((F.col("query_id") == query) & (F.col("batch_id") <= last))
        model = F.concat_ws(" ", "model_name", "model_version").alias("model")
        rows = rows.unionByName(
            mine.select("source", F.col("batch_id").alias("batch"), F.lit(alive).alias("alive"), model)
        )
    return rows.persist()


def _gaps_in_rows(rows: DataFrame, manifests: dict[int, dict[str, Any]]) -> Iterator[str]:
    alive = F.col("alive")
    models = F.collect_set(F.when(alive, F.col("model"))).alias("models")
    counted = rows.groupBy("batch").agg(F.count_if(alive).alias("out"), F.count_if(~alive).alias("dead"), models)
    there = {row["batch"]: (row["out"], row["dead"], row["models"]) for row in counted.collect()}
    for number, manifest in sorted(manifests.items()):
        out, dead, named = there.get(number, (0, 0, []))
        if (out, dead) != (manifest["rows_out"], manifest["dead_letters"]):
            yield (
                f"batch {number}: its manifest has {manifest['rows_out']} predictions and "
                f"{manifest['dead_letters']} dead letters, the files have {out} and {dead}"
            )
        model = f"{manifest['model_name']} {manifest['model_version']}"
        if set(named) - {model}:
            yield f"batch {number}: its manifest has model {model}, the files have {', '.join(sorted(named))}"
    yield from _doubled(rows, "the files")


def _taken(manifests: dict[int, dict[str, Any]]) -> Spans:
    """What the stream has taken in: from the first batch's beginning to the last one's end."""
    begin, end = (manifests[number]["source"] for number in (min(manifests), max(manifests)))
    return {
        topic: {part: (begin.get(topic, {}).get(part, [0])[0], span[1]) for part, span in parts.items()}
        for topic, parts in end.items()
    }


def _kept(bootstrap: str, taken: Spans) -> Spans:
    """What the broker still has of it."""
    kept: Spans = {}
    for topic, parts in taken.items():
        firsts = _firsts(bootstrap, topic, "--kafka-bootstrap")
        there = {part: span for part, span in parts.items() if int(part) < len(firsts)}
        kept[topic] = {part: (min(max(begin, firsts[int(part)]), end), end) for part, (begin, end) in there.items()}
    return kept


def _firsts(bootstrap: str, topic: str, flag: str) -> list[int]:
    """Where each partition begins."""
    from sentiment.serving import kafka_topics  # loads a client that an audit without topics does without

    return kafka_topics.first_offsets(bootstrap, topic, flag)


def _offsets(spans: Spans) -> int:
    return sum(end - begin for parts in spans.values() for begin, end in parts.values())


def _gaps_against_input(spark: SparkSession, bootstrap: str, rows: DataFrame, kept: Spans) -> Iterator[str]:
    """Every record that the input still has, looked for in the files, and the other way round."""
    begins = {topic: {part: span[0] for part, span in parts.items()} for topic, parts in kept.items()}
    ends = {topic: {part: span[1] for part, span in parts.items()} for topic, parts in kept.items()}
    which = {"assign": json.dumps({topic: [int(part) for part in parts] for topic, parts in kept.items()})}
    place = F.concat(F.lit("kafka:"), "topic", F.lit("/"), "partition", F.lit("/"), "offset").alias("source")
    given = _read_topic(spark, bootstrap, which, json.dumps(begins), json.dumps(ends)).select(place)
    named = [(f"kafka:{topic}/{part}", begin) for topic, parts in begins.items() for part, begin in parts.items()]
    begin = F.create_map(*[F.lit(word) for pair in named for word in pair])[F.substring_index("source", "/", 2)]
    comparable = rows.where(F.substring_index("source", "/", -1).cast("long") >= begin)
    yield from _missing(given, rows, "the input has {}, the files have not")
    yield from _missing(comparable, given, "the files have {}, the input has not (or no longer)")


def _compare(found: Findings, written: _Written, rows: DataFrame, records: DataFrame, cut: int) -> None:
    """The files' rows and a topic's records; up to the batch `cut` the broker may have deleted some."""
    batch, topic = F.col("batch"), written.topic
    deleted = _lost(rows.where(batch.between(written.since, cut)), records).count()
    found.checked["output_deleted"] = found.checked.get("output_deleted", 0) + deleted
    expected = rows.where(batch >= max(written.since, cut + 1))
    found.gaps += _missing(expected, records, f"{{}} is in the files, not in {topic}")
    found.gaps += _missing(records, rows, f"{{}} is in {topic}, not in the files")
    found.gaps += _doubled(records, topic)


def _cut(firsts: list[int], records: DataFrame, last: int) -> int:
    """The newest batch of which the broker may have deleted records; -1: none.

    In each partition a batch lies behind the ones before it. Of a partition that was cut and has none of the query's
    records left (any more), nobody knows which batches it had: all of them may be meant.
    """
    oldest = records.groupBy("partition").agg(F.min("batch").alias("batch")).collect()
    batches = {row["partition"]: row["batch"] for row in oldest}
    return max((batches.get(part, last) for part, first in enumerate(firsts) if first), default=-1)


def _records(spark: SparkSession, bootstrap: str, topic: str, query: str, last: int) -> DataFrame:
    """source, batch, partition of every committed record of the query's complete batches in an output topic."""
    read = _read_topic(spark, bootstrap, {"subscribe": topic}, "earliest", "latest")
    # Records of others may have any headers, the same one twice too.
    named = read.select(*(_header(name).alias(name) for name in ("query_id", "batch_id", "source")), "partition")
    batched = named.withColumn("batch", F.expr("try_cast(batch_id AS LONG)"))
    mine = (F.col("query_id") == query) & (F.col("batch") <= last)
    return batched.where(mine).select("source", "batch", "partition")


def _header(name: str) -> Column:
    return F.get(F.filter("headers", lambda each: each["key"] == name), 0)["value"].cast("string")


def _read_topic(spark: SparkSession, bootstrap: str, which: dict[str, str], begin: str, end: str) -> DataFrame:
    reader = spark.read.format("kafka").option("kafka.bootstrap.servers", bootstrap).options(**which)
    reader = reader.option("failOnDataLoss", "false")  # what is deleted meanwhile is one more gap, not an end
    reader = reader.option("kafka.isolation.level", "read_committed").option("includeHeaders", "true")
    return reader.option("startingOffsets", begin).option("endingOffsets", end).load()


def _lost(wanted: DataFrame, there: DataFrame) -> DataFrame:
    return wanted.select("source").join(there.select("source"), "source", "left_anti")


def _missing(wanted: DataFrame, there: DataFrame, line: str) -> Iterator[str]:
    lost = _lost(wanted, there)
    count = lost.count()
    if count:
        first = lost.agg(F.min("source")).first()
        yield line.format(first[0] if first else "?") + f" ({count} such)"


def _doubled(rows: DataFrame, where: str) -> Iterator[str]:
    twice = rows.groupBy("source").count().where("count > 1").orderBy("source")
    first, count = twice.first(), twice.count()
    if first is not None:
        yield f"{first['source']} stands {first['count']} times in {where} ({count} such)"
