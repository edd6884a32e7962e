"""Rows of a batch as JSON, as Kafka's consumers get them: what `scoring.record` makes in Spark, made in the driver."""

import base64
import json
from json.encoder import encode_basestring
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sentiment.serving.scoring import DEAD_COLUMNS, ROOM_BESIDE_PAYLOAD
from sentiment.serving.sources import COORDINATES, PAYLOAD, TIME

_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
ROWS_AT_ONCE = 10_000
"""With the longest texts that are scored, 20,000 characters of six bytes, 1.2 GB; an Arrow array of strings holds 2."""

_TO_ESCAPE = r'["\\\x00-\x1f]'


def predictions(rows: pa.Table) -> pa.ChunkedArray:
    """A record per row: PREDICTION_COLUMNS in their order, null ones left out.

    Args:
        rows: PREDICTION_COLUMNS of one batch, one query and one model; prediction 0 or 1, label 0, 1 or null.
    """
    batches = rows.combine_chunks().to_batches(ROWS_AT_ONCE)
    return pa.chunked_array([_predictions(batch) for batch in batches if batch.num_rows], pa.binary())


def dead_letters(rows: pa.Table, max_bytes: int) -> pa.ChunkedArray:
    """A record per row: DEAD_COLUMNS in their order, null ones left out, the payload in base64 and cut to the topic."""
    columns = {name: _plain(rows, name) for name in DEAD_COLUMNS}
    columns[PAYLOAD] = [
        None if found is None else base64.b64encode(found[: _room(max_bytes, source)]).decode()
        for found, source in zip(columns[PAYLOAD], columns[COORDINATES], strict=True)
    ]
    columns[TIME] = _times(rows[TIME].combine_chunks()).to_pylist()
    columns["date"] = [day.isoformat() for day in columns["date"]]
    records = []
    for row in zip(*columns.values(), strict=True):
        present = {name: value for name, value in zip(columns, row, strict=True) if value is not None}
        records.append(_encoded(present).encode())
    return pa.chunked_array([records], pa.binary())


def _predictions(rows: pa.RecordBatch) -> pa.BinaryArray:
    arrived = _times(rows[TIME])
    pieces = {
        "id": _escaped(rows["id"]),
        "text": _escaped(rows["text"]),
        "prediction": _zero_or_one(rows["prediction"]),
        "sentiment": _quoted(rows["sentiment"]),
        "score": _probability(rows["score"]),
        "label": _zero_or_one(rows["label"]),
        "model_name": _first(rows["model_name"]),
        "model_version": _first(rows["model_version"]),
        "event_time": _quoted(_times(rows["event_time"])),
        TIME: _quoted(arrived),
        "date": _quoted(pc.utf8_slice_codeunits(arrived, 0, len("2026-01-31"))),
        "batch_id": _first(rows["batch_id"]),
        "query_id": _first(rows["query_id"]),
        "source": _escaped(rows["source"]),
    }
    named = [_joined(f'{"," if place else "{"}"{name}":', each) for place, (name, each) in enumerate(pieces.items())]
    records = pc.binary_join_element_wise(*named, "}", "", null_handling="replace", null_replacement="")
    return records.cast(pa.binary())


def _room(max_bytes: int, source: str) -> int:
    """How many bytes of payload a dead letter's record has room for, see scoring.dead_record."""
    return max(0, (max_bytes - ROOM_BESIDE_PAYLOAD - 3 * len(source.encode())) // 4 * 3)


def _plain(rows: pa.Table, name: str) -> list[Any]:
    return list(rows[name].to_pylist())


def _joined(*pieces: Any) -> Any:
    """Arrays of strings, or one string for all rows, one after another; null where one of them is."""
    return pc.binary_join_element_wise(*pieces, "")


def _first(values: pa.Array) -> str:
    return _encoded(values[0].as_py())


def _quoted(texts: Any) -> Any:
    return _joined('"', texts, '"')


def _escaped(texts: pa.Array) -> Any:
    """Any texts, in quotes."""
    marked = pc.match_substring_regex(texts, _TO_ESCAPE)
    escaped = [encode_basestring(text)[1:-1] for text in texts.filter(marked).to_pylist()]
    return _quoted(pc.replace_with_mask(texts, marked, pa.array(escaped, pa.string())))


def _zero_or_one(values: pa.Array) -> Any:
    return pc.if_else(pc.equal(values, 1.0), "1.0", "0.0")


def _probability(values: pa.Array) -> Any:
    """As many digits as tell a number from its neighbours; pyarrow writes 1 for 1.0."""
    return pc.if_else(pc.equal(values, pc.floor(values)), _zero_or_one(values), values.cast(pa.string()))


def _times(times: Any) -> Any:
    """Times in UTC with microseconds; null where there is none."""
    encoded = times.dictionary_encode()  # many messages arrive in one millisecond
    different = encoded.dictionary.to_numpy(zero_copy_only=False).astype("datetime64[us]")
    written = pa.array([f"{time}Z" for time in np.datetime_as_string(different).tolist()], pa.string())
    return written.take(encoded.indices)
