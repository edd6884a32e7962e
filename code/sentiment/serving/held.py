"""A scored batch, computed once and held until it is everywhere: in the driver as an Arrow table, or in the executors.

In the driver one Spark job is all that a batch takes: its figures, its Parquet and its records come from the table.
In the executors each of them is a job of its own, over rows that Spark has cached, and a batch may have any size.
"""

from datetime import datetime
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from sentiment.serving.parsing import REASON
from sentiment.serving.scoring import DEAD_COLUMNS, PREDICTION_COLUMNS, VALUE
from sentiment.serving.sources import COORDINATES, TIME

Rows: TypeAlias = DataFrame | pa.Table

CAN_COLLECT = hasattr(DataFrame, "toArrow")
"""Spark 3.5 has no such method: there every batch stays in the executors."""


class Held(Protocol):
    """Predictions and dead letters of one batch, with inner_value where `scoring.score` made it."""

    def figures(self, now: datetime) -> dict[str, float]:
        """What it holds: rows_in, rows_out, dead_letters, positive_share, mean_confidence, lag_seconds."""
        ...

    def predictions(self) -> Rows:
        """The rows of the predictions dataset."""
        ...

    def dead_letters(self) -> Rows:
        """The rows of the dead-letter dataset."""
        ...

    def release(self) -> None:
        """Forget them."""
        ...


class InExecutors:
    """A scored batch of any size."""

    def __init__(self, scored: DataFrame) -> None:
        self._scored = scored.persist(StorageLevel.MEMORY_AND_DISK)

    def figures(self, now: datetime) -> dict[str, float]:
        """See Held."""
        alive = F.col(REASON).isNull()
        row = self._scored.agg(
            F.count(F.lit(1)),
            F.count_if(alive),
            F.avg(F.when(alive, F.col("prediction"))),
            F.avg(F.when(alive, F.greatest("score", 1 - F.col("score")))),
            F.min(F.unix_micros(TIME)),
        ).first()
        assert row is not None
        rows_in, rows_out, share, confidence, oldest = row
        return _figures(now, rows_in, rows_out, share, confidence, oldest)

    def predictions(self) -> DataFrame:
        """See Held."""
        return self._scored.where(F.col(REASON).isNull()).select(*_columns(PREDICTION_COLUMNS, self._scored.columns))

    def dead_letters(self) -> DataFrame:
        """See Held."""
        return self._scored.where(F.col(REASON).isNotNull()).select(*_columns(DEAD_COLUMNS, self._scored.columns))

    def release(self) -> None:
        """See Held."""
        self._scored.unpersist()


class InDriver:
    """A scored batch that the driver's memory holds easily."""

    def __init__(self, scored: DataFrame) -> None:
        self._scored: Any = scored.toArrow()
        self._alive = pc.is_null(self._scored[REASON])

    def figures(self, now: datetime) -> dict[str, float]:
        """See Held."""
        alive = self.predictions()
        scores = alive["score"].to_numpy()
        confidence = float(np.maximum(scores, 1 - scores).mean()) if len(scores) else None
        oldest = pc.min(self._scored[TIME]).cast(pa.int64()).as_py()
        share = pc.mean(alive["prediction"]).as_py()
        return _figures(now, self._scored.num_rows, alive.num_rows, share, confidence, oldest)

    def predictions(self) -> Any:
        """See Held."""
        return self._scored.filter(self._alive).select(_columns(PREDICTION_COLUMNS, self._scored.column_names))

    def dead_letters(self) -> Any:
        """See Held."""
        dead = self._scored.filter(pc.invert(self._alive))
        return dead.select(_columns(DEAD_COLUMNS, self._scored.column_names))

    def release(self) -> None:
        """See Held."""
        self._scored = self._alive = None


def records(rows: Rows, key: str) -> Rows:
    """Rows with inner_value as key, value and source, which is what goes to Kafka."""
    if isinstance(rows, DataFrame):
        return rows.select(F.col(key).alias("key"), F.col(VALUE).alias("value"), COORDINATES)
    return pa.table({"key": rows[key], "value": rows[VALUE], "source": rows[COORDINATES]})


def without_records(rows: Rows) -> Rows:
    """Rows as their dataset has them."""
    if isinstance(rows, DataFrame):
        return rows.drop(VALUE)
    return rows.select([name for name in rows.column_names if name != VALUE])


def _columns(wanted: list[str], found: list[str]) -> list[str]:
    return [*wanted, *([VALUE] if VALUE in found else [])]


def _figures(
    now: datetime, rows_in: int, rows_out: int, share: float | None, confidence: float | None, oldest: int | None
) -> dict[str, float]:
    lag = max(0.0, now.timestamp() - oldest / 1e6) if oldest else 0.0
    return {
        "rows_in": rows_in,
        "rows_out": rows_out,
        "dead_letters": rows_in - rows_out,
        "positive_share": share or 0,
        "mean_confidence": confidence or 0,
        "lag_seconds": round(lag, 3),
    }
