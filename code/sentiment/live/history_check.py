"""Can the ledger explain the model version that each prediction names?"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import hadoop, storage
from sentiment.jobs import DataError
from sentiment.live.history import History

COLUMNS = {
    "id": "string",
    "source": "string",
    "model_name": "string",
    "model_version": "string",
    "ingest_time": "timestamp",
}
SHOWN = 10


@dataclass
class Explained:
    """Rows of this model, of other models, and those of this model that no entry explains, ten of them in words."""

    checked: int = 0
    others: int = 0
    unexplained: int = 0
    first: list[str] = field(default_factory=list)


def check(spark: SparkSession, history: History, predictions: str, grace_seconds: int, lag_seconds: int) -> Explained:
    """Look for predictions whose version was live at no moment from `ingest_time` - grace to `ingest_time` + lag.

    Args:
        spark: the session.
        history: of the model.
        predictions: Parquet folder with the columns in COLUMNS, in folders `date=...` or not.
        grace_seconds: how long a stream may follow the alias late.
        lag_seconds: how long a message may wait before it is scored; `ingest_time` is the source's clock.

    Raises:
        DataError: no such folder or columns, or no row of this model.
    """
    rows = _read(spark, predictions)
    mine = F.col("model_name") == history.model
    counted = rows.agg(F.count_if(mine).alias("mine"), F.count(F.lit(1)).alias("all")).first()
    assert counted is not None
    found = Explained(counted["mine"], counted["all"] - counted["mine"])
    if not found.checked:
        raise DataError(
            f"--check {predictions}: want predictions of {history.model}, found {found.others} rows of other models"
        )
    known = [(each.version, each.begin, each.end) for each in history.possible()]
    live = F.broadcast(spark.createDataFrame(known, "version string, begin timestamp, end timestamp"))
    grace, lag = (F.expr(f"INTERVAL {int(seconds)} SECONDS") for seconds in (grace_seconds, lag_seconds))
    explains = (
        (F.col("model_version") == F.col("version"))
        & (F.col("begin").isNull() | (F.col("begin") <= F.col("ingest_time") + lag))
        & (F.col("end").isNull() | (F.col("end") >= F.col("ingest_time") - grace))
        & F.col("ingest_time").isNotNull()
    )
    strange = rows.where(mine).join(live, explains, "left_anti").persist()
    try:
        found.unexplained = strange.count()
        found.first = list(_described(strange, history)) if found.unexplained else []
    finally:
        strange.unpersist()
    return found


def _read(spark: SparkSession, predictions: str) -> DataFrame:
    if not storage.list_files(spark, predictions):
        raise DataError(f"--check {predictions}: want a Parquet folder of predictions, found nothing")
    known = storage.literal(predictions) if storage.exists(spark, predictions) else predictions
    with hadoop.telling(f"--check {predictions}: want Parquet"):
        frame = spark.read.parquet(known)
    found = dict(frame.dtypes)
    wrong = [f"{name} {kind}" for name, kind in COLUMNS.items() if found.get(name) != kind]
    if wrong:
        raise DataError(f"--check {predictions}: want columns {', '.join(wrong)}; found {', '.join(found)}")
    return frame.select(*COLUMNS)


def _described(strange: DataFrame, history: History) -> Iterator[str]:
    time = F.date_format("ingest_time", "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'").alias("time")
    shown = strange.orderBy("ingest_time", "source").select("id", "source", "model_version", time)
    for row in shown.limit(SHOWN).collect():
        yield (
            f"id {row['id']}, {row['source']}: version {row['model_version']} at {row['time'] or 'no time'}; "
            f"live then: {_live_at(history, row['time'])}"
        )


def _live_at(history: History, time: str | None) -> str:
    """What was live at a moment as Spark writes it: a clock that was wrong gives years that Python does not know."""
    try:
        moment = datetime.fromisoformat(time or "")
    except ValueError:
        return "unknown"
    span = next((span for span in reversed(history.spans) if span.begin <= moment), None)
    if span is None:
        return "nothing that the ledger knows of"
    holder = history.holder(span)
    found = f"version {holder.entry.to_version}" if holder and holder.entry.to_version else "nothing"
    return found if holder is span else f"{found}; version {span.entry.to_version} was claimed and gone"
