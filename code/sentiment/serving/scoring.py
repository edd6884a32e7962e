"""Predictions from parsed tweets with one model; the columns of the predictions and dead-letter datasets."""

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812

from sentiment.serving.linear import Linear
from sentiment.serving.parsing import REASON
from sentiment.serving.sources import COORDINATES, PAYLOAD, TIME

VALUE = "inner_value"
NEGATIVE, POSITIVE = "negative", "positive"
MAX_DEAD_BYTES = 65_536
HEADER_BYTES = 512
"""Room for a Kafka record's other headers and framing; its source is a header too, of any length."""

ROOM_BESIDE_PAYLOAD = 2 * HEADER_BYTES
"""Room for that and for the fields of a dead letter; its source, which is key and header too, comes on top."""

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
TIMES = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"}
"""How JSON has times: Spark's own way ends with milliseconds."""


@dataclass(frozen=True)
class Loaded:
    """A model that scores.

    Attributes:
        name: of the registered model.
        version: of it.
        apply: adds prediction and score (doubles, null where it has none) to rows with text.
        linear: the same as numbers, for batches that are scored in the driver; None where only Spark can score.
    """

    name: str
    version: str
    apply: Callable[[DataFrame], DataFrame]
    linear: Linear | None = None


def score(
    parsed: DataFrame, model: Loaded, batch: int, query: str, max_bytes: int = 0, max_dead_bytes: int = 0
) -> DataFrame:
    """Every parsed row: PREDICTION_COLUMNS, its reason if it cannot be scored, and with a reason DEAD_COLUMNS too.

    Where a topic wants records, inner_value holds the row's own: a prediction's or a dead letter's.

    Args:
        parsed: see parsing.parse; rows with a reason keep it.
        model: scores the others.
        batch: number of the batch.
        query: id of the query.
        max_bytes: what a record of the predictions' topic may take; a larger one is refused too. 0: no such topic.
        max_dead_bytes: what a record of the dead letters' topic may take; payloads are cut to it. 0: no such topic.
    """
    rows = model.apply(parsed)
    finite = F.coalesce(F.col("score").between(0.0, 1.0) & F.col("prediction").isin(0.0, 1.0), F.lit(False))
    reason = F.coalesce(REASON, F.when(~finite, "the model gave no probability for it"))
    made = {
        "sentiment": F.when(F.col("prediction") == 1.0, POSITIVE).otherwise(NEGATIVE),
        "model_name": F.lit(model.name),
        "model_version": F.lit(model.version),
        "date": F.to_date(TIME),
        "batch_id": _the_same_code_for_every(batch),
        "query_id": F.lit(query),
    }
    columns = [made[name].alias(name) if name in made else F.col(name) for name in PREDICTION_COLUMNS]
    rows = rows.select(*columns, reason.alias(REASON), PAYLOAD)
    if max_bytes:
        rows = rows.withColumn(VALUE, F.when(F.col(REASON).isNull(), record()))
        size = F.octet_length(VALUE) + F.octet_length("id") + F.octet_length(COORDINATES) + HEADER_BYTES
        too_large = f"its Kafka record would be larger than the topic's {max_bytes} bytes"
        rows = rows.withColumn(REASON, F.coalesce(REASON, F.when(size > max_bytes, too_large)))
    rows = rows.selectExpr(*PREDICTION_COLUMNS, REASON, *payload_of_refused(), *([VALUE] if max_bytes else []))
    if max_dead_bytes:
        value = F.when(F.col(REASON).isNotNull(), dead_record(max_dead_bytes))
        rows = rows.withColumn(VALUE, value.otherwise(F.col(VALUE)) if max_bytes else value)
    return rows


def payload_of_refused() -> list[str]:
    """SQL for the payload, cut, its length and its hash; null for rows without a reason."""
    payload = {
        PAYLOAD: f"substring({PAYLOAD}, 1, {MAX_DEAD_BYTES})",
        "payload_length": f"CAST(coalesce(octet_length({PAYLOAD}), 0) AS LONG)",
        "payload_sha256": f"sha2({PAYLOAD}, 256)",
    }
    # Each step of a column that is no SQL is a call to Java, thirty for every batch.
    return [f"CASE WHEN {REASON} IS NOT NULL THEN {sql} END AS {name}" for name, sql in payload.items()]


def _the_same_code_for_every(batch: int) -> Column:
    """A batch's number as a long that Spark does not write into the code it generates, as it does with literals.

    New code for every batch would be compiled for every batch, by Spark and then by the JVM, and never be warm.
    """
    nothing = F.substring(COORDINATES, 1, 0)
    return F.concat(F.lit(str(batch)), nothing).cast("long")


def record() -> Column:
    """A prediction as JSON bytes, as Kafka's consumers get it."""
    return F.to_json(F.struct(*PREDICTION_COLUMNS), TIMES).cast("binary")


def dead_record(max_bytes: int) -> Column:
    """A dead letter as JSON bytes; the payload is base64, and cut once more so that the record's topic takes it.

    json_records.dead_letters cuts at the same byte.
    """
    room = f"{max_bytes - ROOM_BESIDE_PAYLOAD} - 3 * octet_length({COORDINATES})"
    payload = F.expr(f"substring({PAYLOAD}, 1, CAST(greatest(0, ({room}) DIV 4 * 3) AS INT))").alias(PAYLOAD)
    return F.to_json(F.struct(payload, *DEAD_COLUMNS[1:]), TIMES).cast("binary")
