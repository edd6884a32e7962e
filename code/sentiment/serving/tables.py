"""A batch scored in the driver, as one Arrow table: Spark parses messages and cuts texts into tokens, the rest is here.

The table holds what `scoring.score` would give, column by column. Spark plans for each batch anew what is asked of it,
and the plan of a few columns costs a fraction of the full one's.
"""

from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from sentiment.features import TOKENS
from sentiment.serving import json_records
from sentiment.serving.linear import Linear
from sentiment.serving.parsing import REASON
from sentiment.serving.scoring import (
    DEAD_COLUMNS,
    HEADER_BYTES,
    NEGATIVE,
    POSITIVE,
    PREDICTION_COLUMNS,
    VALUE,
    Loaded,
    payload_of_refused,
)
from sentiment.serving.sources import COORDINATES, TIME

_FIRST, _LAST = (int(np.datetime64(day, "us").astype(int)) for day in ("0001-01-01", "9999-12-31"))
"""Microseconds since 1970 between which Python and Spark write times alike; beyond them Spark writes a sign."""


def score(
    rows: DataFrame,
    numbers: Linear,
    model: Loaded,
    batch: int,
    query: str,
    max_bytes: int = 0,
    max_dead_bytes: int = 0,
) -> pa.Table | None:
    """What scoring.score gives with the same arguments; None for a batch with a row that only Spark deals with.

    Args:
        rows: parsed rows with their tokens, see parsing.parse and linear.with_tokens.
        numbers: model.linear.
        model: whose name and version the rows bear.
        batch: number of the batch.
        query: id of the query.
        max_bytes: what a record of the predictions' topic may take.
        max_dead_bytes: what a record of the dead letters' topic may take.
    """
    parsed = ("id", "text", "label", "event_time", TIME, COORDINATES, REASON)
    table: Any = rows.selectExpr(*parsed, *payload_of_refused(), TOKENS).toArrow()
    if not _has_usual_times(table):
        return None
    prediction, probability = numbers.scores(table[TOKENS])
    made = {
        "prediction": pa.array(prediction),
        "sentiment": pc.if_else(pa.array(prediction == 1), POSITIVE, NEGATIVE),
        "score": pa.array(probability),
        "model_name": model.name,
        "model_version": model.version,
        "date": pa.array(table[TIME].to_numpy().astype("datetime64[D]")),
        "batch_id": batch,
        "query_id": query,
    }
    for name, values in made.items():
        column = values if isinstance(values, pa.Array) else pa.repeat(values, table.num_rows)
        table = table.append_column(name, column)
    columns = dict.fromkeys([*PREDICTION_COLUMNS, REASON, *DEAD_COLUMNS])
    return _with_records(table.select(list(columns)), max_bytes, max_dead_bytes)


def _has_usual_times(table: pa.Table) -> bool:
    times = [pc.min_max(table[name].cast(pa.int64())).as_py() for name in ("event_time", TIME)]
    return all(found["min"] is None or _FIRST <= found["min"] <= found["max"] <= _LAST for found in times)


def _with_records(table: pa.Table, max_bytes: int, max_dead_bytes: int) -> pa.Table | None:
    """The table with inner_value where a topic wants it; None if a prediction's is too large for its topic."""
    if not max_bytes and not max_dead_bytes:
        return table
    alive = pc.is_null(table[REASON])
    place = np.full(table.num_rows, -1)
    records = []
    if max_bytes:
        predictions = table.filter(alive)
        records.append(json_records.predictions(predictions))
        lengths = map(pc.binary_length, (records[0], predictions["id"], predictions[COORDINATES]))
        if (pc.max(reduce(pc.add, lengths)).as_py() or 0) + HEADER_BYTES > max_bytes:
            return None
        place[alive.to_numpy()] = np.arange(len(records[0]))
    if max_dead_bytes:
        refused = pc.invert(alive)
        known = sum(map(len, records))
        records.append(json_records.dead_letters(table.filter(refused), max_dead_bytes))
        place[refused.to_numpy()] = known + np.arange(len(records[-1]))
    found = pa.chunked_array([chunk for each in records for chunk in each.chunks], pa.binary())
    return table.append_column(VALUE, found.take(pa.array(place, mask=place < 0)))
