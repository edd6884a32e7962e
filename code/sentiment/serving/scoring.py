"""Predictions from parsed tweets with one model; the columns of the predictions and dead-letter datasets."""

import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812

from sentiment.serving.models import Loaded
from sentiment.serving.parsing import REASON
from sentiment.serving.sources import COORDINATES, PAYLOAD, TIME

VALUE = "inner_value"
MAX_DEAD_BYTES = 65_536
HEADER_BYTES = 512
"""Room for a Kafka record's headers, key length and framing."""

PREDICTION_COLUMNS = [
    "id",
    "text",
    "prediction",
    "sentiment",
    "score",
    "label",
    "model_name",
    "model_version",
    "event_time",
    TIME,
    "date",
    "batch_id",
    "query_id",
    COORDINATES,
]
DEAD_COLUMNS = [
    PAYLOAD,
    "payload_length",
    "payload_sha256",
    REASON,
    COORDINATES,
    TIME,
    "date",
    "batch_id",
    "query_id",
]
_TIMES = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"}


def score(parsed: DataFrame, model: Loaded, batch: int, query: str, max_bytes: int = 0) -> DataFrame:
    """Every parsed row with its prediction; a row that cannot be scored gets a reason.

    Args:
        parsed: see parsing.parse; rows with a reason keep it.
        model: scores the others.
        batch: number of the batch.
        query: id of the query.
        max_bytes: rows whose JSON record would be larger are refused too, and inner_value holds the record; 0: neither.
    """
    rows = model.apply(parsed)
    finite = F.coalesce(F.col("score").between(0.0, 1.0) & F.col("prediction").isin(0.0, 1.0), F.lit(False))
    reason = F.coalesce(REASON, F.when(~finite, "the model gave no probability for it"))
    made = {
        "sentiment": F.when(F.col("prediction") == 1.0, "positive").otherwise("negative"),
        "model_name": F.lit(model.name),
        "model_version": F.lit(model.version),
        "date": F.to_date(TIME),
        "batch_id": _the_same_code_for_every(batch),
        "query_id": F.lit(query),
    }
    columns = [made[name].alias(name) if name in made else F.col(name) for name in PREDICTION_COLUMNS]
    if not max_bytes:
        return rows.select(*columns, *_refused(reason))
    rows = rows.select(*columns, reason.alias(REASON), PAYLOAD)
    rows = rows.withColumn(VALUE, F.when(F.col(REASON).isNull(), record()))
    size = F.octet_length(VALUE) + F.octet_length("id") + HEADER_BYTES
    too_large = f"its Kafka record would be larger than the topic's {max_bytes} bytes"
    reason = F.coalesce(REASON, F.when(size > max_bytes, too_large))
    return rows.select(*PREDICTION_COLUMNS, *_refused(reason), VALUE)


def _refused(reason: Column) -> list[Column]:
    """A row's reason, and its payload only if it has one."""
    return [reason.alias(REASON), F.when(reason.isNotNull(), F.col(PAYLOAD)).alias(PAYLOAD)]


def _the_same_code_for_every(batch: int) -> Column:
    """A batch's number as a long that Spark does not write into the code it generates, as it does with literals.

    New code for every batch would be compiled for every batch, by Spark and then by the JVM, and never be warm.
    """
    nothing = F.substring(COORDINATES, 1, 0)
    return F.concat(F.lit(str(batch)), nothing).cast("long")


def predictions(scored: DataFrame) -> DataFrame:
    """The rows of the predictions dataset."""
    extra = [VALUE] if VALUE in scored.columns else []
    return scored.where(F.col(REASON).isNull()).select(*PREDICTION_COLUMNS, *extra)


def dead_letters(scored: DataFrame) -> DataFrame:
    """The rows of the dead-letter dataset: the message's first 64 kB, its whole length and hash, and why."""
    rows = scored.where(F.col(REASON).isNotNull()).withColumns(
        {
            "payload_length": F.coalesce(F.octet_length(PAYLOAD), F.lit(0)).cast("long"),
            "payload_sha256": F.sha2(PAYLOAD, 256),
        }
    )
    return rows.withColumn(PAYLOAD, F.substring(PAYLOAD, 1, MAX_DEAD_BYTES)).select(*DEAD_COLUMNS)


def record() -> Column:
    """A prediction as JSON bytes, as Kafka's consumers get it."""
    return F.to_json(F.struct(*PREDICTION_COLUMNS), _TIMES).cast("binary")


def dead_record() -> Column:
    """A dead letter as JSON bytes; the payload is base64."""
    return F.to_json(F.struct(*DEAD_COLUMNS), _TIMES).cast("binary")


def figures(scored: DataFrame, now: datetime.datetime) -> dict[str, float]:
    """What a batch holds: rows_in, rows_out, dead_letters, positive_share, mean_confidence, lag_seconds."""
    alive = F.col(REASON).isNull()
    row = scored.agg(
        F.count(F.lit(1)).alias("rows_in"),
        F.count_if(alive).alias("rows_out"),
        F.avg(F.when(alive, F.col("prediction"))).alias("positive_share"),
        F.avg(F.when(alive, F.greatest("score", 1 - F.col("score")))).alias("mean_confidence"),
        F.min(F.unix_micros(TIME)).alias("oldest"),
    ).first()
    assert row is not None
    found = {name: row[name] or 0 for name in ("rows_in", "rows_out", "positive_share", "mean_confidence")}
    found["dead_letters"] = found["rows_in"] - found["rows_out"]
    found["lag_seconds"] = round(max(0.0, now.timestamp() - row["oldest"] / 1e6), 3) if row["oldest"] else 0.0
    return found
