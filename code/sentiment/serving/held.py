"""A scored batch, computed once and held until it is everywhere: in the driver as an Arrow table, or in the executors.

In the driver one Spark job is all that a batch takes: its figures, its Parquet and its records come from the table.
In the executors each of them is a job of its own, over rows that Spark has cached, and a batch may have any size.
"""

from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment.serving.parsing import REASON
from sentiment.serving.rows import ArrowRows, Rows, SparkRows
from sentiment.serving.scoring import DEAD_COLUMNS, PREDICTION_COLUMNS, VALUE
from sentiment.serving.settings import AT_LEAST_ONCE, Serving
from sentiment.serving.sources import TIME

CAN_COLLECT = hasattr(DataFrame, "toArrow")
"""Spark 3.5 has no such method: there every batch stays in the executors."""


def may_collect(serving: Serving) -> bool:
    """Whether a stream's small batches can be held in the driver: Spark's own writers and sink want them elsewhere."""
    return CAN_COLLECT and not serving.sinks.json_output and serving.sinks.delivery != AT_LEAST_ONCE


class Held(Protocol):
    """Predictions and dead letters of one batch, with inner_value where `scoring.score` made it."""

    def figures(self, now: datetime) -> dict[str, float]:
        """What it holds: rows_in, rows_out, dead_letters, positive_share, mean_confidence, lag_seconds."""
        ...

    def predictions(self) -> Rows | None:
        """The rows of the predictions dataset; None: there are none."""
        ...

    def dead_letters(self) -> Rows | None:
        """The rows of the dead-letter dataset; None: there are none."""
        ...

    def release(self) -> None:
        """Forget them."""
        ...


class InExecutors:
    """A scored batch of any size."""

    def __init__(self, scored: DataFrame) -> None:
        self._scored = scored.persist(StorageLevel.MEMORY_AND_DISK)

    @cached_property
    def _counted(self) -> Row:
        alive = F.col(REASON).isNull()
        counted = self._scored.agg(
            F.count(F.lit(1)),
            F.count_if(alive),
            F.avg(F.when(alive, F.col("prediction"))),
            F.avg(F.when(alive, F.greatest("score", 1 - F.col("score")))),
            F.min(F.unix_micros(TIME)),
        ).first()
        assert counted is not None
        return counted

    def figures(self, now: datetime) -> dict[str, float]:
        """See Held."""
        rows_in, rows_out, share, confidence, oldest = self._counted
        return _figures(now, rows_in, rows_out, share, confidence, oldest)

    def predictions(self) -> SparkRows | None:
        """See Held."""
        return self._those(F.col(REASON).isNull(), PREDICTION_COLUMNS, self._counted[1])

    def dead_letters(self) -> SparkRows | None:
        """See Held."""
        return self._those(F.col(REASON).isNotNull(), DEAD_COLUMNS, self._counted[0] - self._counted[1])

    def release(self) -> None:
        """See Held."""
        self._scored.unpersist()

    def _those(self, wanted: Column, columns: list[str], count: int) -> SparkRows | None:
        rows = self._scored.where(wanted).select(*_with_value(columns, self._scored.columns))
        return SparkRows(rows, count) if count else None


class InDriver:
    """A scored batch that the driver's memory holds easily."""

    def __init__(self, spark: SparkSession, scored: pa.Table) -> None:
        self._spark = spark
        self._scored: Any = scored
        self._alive = pc.is_null(self._scored[REASON])

    def figures(self, now: datetime) -> dict[str, float]:
        """See Held."""
        alive = self._scored.select(["prediction", "score"]).filter(self._alive)
        scores = alive["score"].to_numpy()
        confidence = float(np.maximum(scores, 1 - scores).mean()) if len(scores) else None
        oldest = pc.min(self._scored[TIME]).cast(pa.int64()).as_py()
        share = pc.mean(alive["prediction"]).as_py()
        return _figures(now, self._scored.num_rows, alive.num_rows, share, confidence, oldest)

    def predictions(self) -> ArrowRows | None:
        """See Held."""
        return self._those(self._alive, PREDICTION_COLUMNS)

    def dead_letters(self) -> ArrowRows | None:
        """See Held."""
        return self._those(pc.invert(self._alive), DEAD_COLUMNS)

    def release(self) -> None:
        """See Held."""
        self._scored = self._alive = None

    def _those(self, wanted: Any, columns: list[str]) -> ArrowRows | None:
        rows = self._scored.filter(wanted).select(_with_value(columns, self._scored.column_names))
        return ArrowRows(self._spark, rows) if rows.num_rows else None


def _with_value(wanted: list[str], found: list[str]) -> list[str]:
    return [*wanted, *([VALUE] if VALUE in found else [])]


def _figures(
    now: datetime, rows_in: int, rows_out: int, share: float | None, confidence: float | None, oldest: int | None
) -> dict[str, float]:
    lag = max(0.0, now.timestamp() - oldest / 1e6) if oldest is not None else 0.0
    return {
        "rows_in": rows_in,
        "rows_out": rows_out,
        "dead_letters": rows_in - rows_out,
        "positive_share": share or 0,
        "mean_confidence": confidence or 0,
        "lag_seconds": round(lag, 3),
    }
