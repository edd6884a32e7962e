"""Scoring outside the stream: the same parsing and the same models over files, predictions or dead letters, once."""

import hashlib
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import hadoop, storage
from sentiment.jobs import DataError
from sentiment.serving import files, held, layout, parsing, scoring, sources
from sentiment.serving.scoring import Loaded
from sentiment.serving.settings import FILE, JSON, KAFKA, Source

FILES, PREDICTIONS, DEAD_LETTERS = "files", "predictions", "dead-letters"
KINDS = [FILES, PREDICTIONS, DEAD_LETTERS]

NEEDED = {
    PREDICTIONS: parsing.COLUMNS[:-2],
    DEAD_LETTERS: ["payload", "payload_length", "reason", "source", "ingest_time"],
}
"""The columns that an input of each kind must have."""

CUT = f"the dead letter holds only the first {scoring.MAX_DEAD_BYTES} bytes of the message"


def parsed(spark: SparkSession, kind: str, location: str, file_format: str, date: str, max_chars: int) -> DataFrame:
    """What shall be scored, in the columns of parsing.parse.

    Args:
        spark: the session.
        kind: files (as a stream would watch them), predictions, or dead-letters.
        location: file or folder.
        file_format: of files, or of what the dead letters once were.
        date: of predictions or dead letters, YYYY-MM-DD; empty: all.
        max_chars: longer texts are not scored.

    Raises:
        DataError: there is no such input, or it cannot be read or is of another kind.
    """
    with hadoop.telling(f"--input {location}"):
        if kind == FILES:
            return _of_files(spark, Source(FILE, path=location, format=file_format), max_chars)
        rows = _written(spark, kind, location, date)
    if kind == PREDICTIONS:
        empty = [F.lit(None).cast("binary").alias("payload"), F.lit(None).cast("string").alias("reason")]
        return rows.select(*NEEDED[PREDICTIONS], *empty)
    source = Source(KAFKA) if file_format == JSON else Source(FILE, format=file_format)
    # A dead letter of a dead letter has the length of what was left of it, but the reason tells.
    cut = (F.col("payload_length") > F.coalesce(F.octet_length("payload"), F.lit(0))) | (F.col("reason") == CUT)
    whole = parsing.parse(rows.where(~cut).select("payload", "source", "ingest_time"), source, max_chars)
    refused = rows.where(cut).select(F.col("source").alias("id"), "source", "ingest_time", "payload")
    return whole.unionByName(refused.withColumn("reason", F.lit(CUT)), allowMissingColumns=True)


def _of_files(spark: SparkSession, source: Source, max_chars: int) -> DataFrame:
    inputs = sources.list_inputs(spark, source.path)
    batch = sources.files(spark, inputs)
    with storage.reading(spark, f"--input {source.path}", inputs):
        paths = [row[0] for row in batch.select("file_path").distinct().collect()]
    first_lines = sources.headers(spark, source, paths)
    messages = sources.messages(batch, source, first_lines)
    return parsing.parse(messages, source, max_chars, first_lines)


def _written(spark: SparkSession, kind: str, location: str, date: str) -> DataFrame:
    """Predictions or dead letters as they were written."""
    pattern = storage.join(storage.literal(location), f"date={date or '*'}", "*.parquet")
    rows = files.read(spark, location, storage.list_files(spark, pattern))
    if rows is None:
        raise DataError(f"--input {location}: want {kind} under date={date or '*'}/, found none")
    if missing := [name for name in NEEDED[kind] if name not in rows.columns]:
        raise DataError(
            f"--input {location}: want {kind} with columns {', '.join(NEEDED[kind])}, found no {', '.join(missing)}"
        )
    return rows


def run(spark: SparkSession, rows: DataFrame, model: Loaded, output: str, name: str) -> dict[str, float]:
    """Score rows into `<output>/date=.../` and dead letters into `<output>-dead-letters/`; gives the figures.

    The same input and version scored again replaces what it wrote before, and nothing else; so it does when the input
    was taken for one of another kind or format then.

    Args:
        spark: the session.
        rows: see `parsed`.
        model: what scores.
        output: folder of the predictions.
        name: what was read, the same from every folder; with the model it makes the query_id.

    Raises:
        DataError: something of the input cannot be read or scored, or the output not be written.
    """
    words = f"{name}\n{model.name}\n{model.version}"
    query = f"{hashlib.sha256(words.encode()).hexdigest()[:8]}-score-batch"
    scored = held.InExecutors(scoring.score(rows, model, 0, query))
    try:
        with hadoop.telling(f"--input {name.strip()}: scoring with version {model.version}"):
            figures = scored.figures(datetime.now(UTC))
        with hadoop.telling(f"--output-path {output}"):
            files.publish(spark, scored.predictions(), output, query, 0, replayed=True)
            files.publish(spark, scored.dead_letters(), layout.dead_letters(output), query, 0, replayed=True)
    finally:
        scored.release()
    return figures
