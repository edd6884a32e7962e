"""Rows of a batch as JSON, as Kafka's consumers get them: what `scoring.record` makes in Spark, made in the driver."""

import base64
import json
from json.encoder import encode_basestring
from typing import Any

import numpy as np
import pyarrow as pa

from sentiment.serving.scoring import DEAD_COLUMNS
from sentiment.serving.sources import PAYLOAD, TIME

_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def predictions(rows: pa.Table) -> list[bytes]:
    """A record per row: PREDICTION_COLUMNS in their order, null ones left out.

    Args:
        rows: PREDICTION_COLUMNS of one batch, one query and one model.
    """
    if not rows.num_rows:
        return []
    labels = [f',"label":{label}' if label is not None else "" for label in _plain(rows, "label")]
    events = [f',"event_time":"{event}"' if event else "" for event in _times(rows, "event_time")]
    model = f',"model_name":{_first(rows, "model_name")},"model_version":{_first(rows, "model_version")}'
    batch = f',"batch_id":{_first(rows, "batch_id")},"query_id":{_first(rows, "query_id")}'
    columns = zip(
        *(map(encode_basestring, _plain(rows, name)) for name in ("id", "text", "source")),
        *(_plain(rows, name) for name in ("prediction", "sentiment", "score")),
        labels,
        events,
        _times(rows, TIME),
        strict=True,
    )
    return [
        f'{{"id":{key},"text":{text},"prediction":{prediction},"sentiment":"{sentiment}","score":{score}{label}{model}'
        f'{event},"{TIME}":"{arrived}","date":"{arrived[:10]}"{batch},"source":{source}}}'.encode()
        for key, text, source, prediction, sentiment, score, label, event, arrived in columns
    ]


def dead_letters(rows: pa.Table) -> list[bytes]:
    """A record per row: DEAD_COLUMNS in their order, null ones left out, the payload in base64."""
    columns = {name: _plain(rows, name) for name in DEAD_COLUMNS}
    columns[PAYLOAD] = [None if found is None else base64.b64encode(found).decode() for found in columns[PAYLOAD]]
    columns[TIME] = _times(rows, TIME)
    columns["date"] = [day.isoformat() for day in columns["date"]]
    records = []
    for row in zip(*columns.values(), strict=True):
        present = {name: value for name, value in zip(columns, row, strict=True) if value is not None}
        records.append(_encoded(present).encode())
    return records


def _plain(rows: pa.Table, name: str) -> list[Any]:
    return list(rows[name].to_pylist())


def _times(rows: pa.Table, name: str) -> list[str]:
    """Times in UTC with microseconds; empty where there is none."""
    found = np.datetime_as_string(rows[name].to_numpy().astype("datetime64[us]"))
    return ["" if time == "NaT" else f"{time}Z" for time in found.tolist()]


def _first(rows: pa.Table, name: str) -> str:
    return _encoded(rows[name][0].as_py())
