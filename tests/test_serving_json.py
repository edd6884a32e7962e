"""Records of predictions, made by Arrow, against the same made by Python's own json."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.serving import json_records
from sentiment.serving.scoring import PREDICTION_COLUMNS
from sentiment.serving.sources import TIME

TIMES = st.datetimes(datetime(1901, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))
WORDS = st.text(st.characters(exclude_categories=["Cs"]))
EVERY_TIME = pa.timestamp("us", "UTC")
KINDS = {
    **dict.fromkeys(PREDICTION_COLUMNS, pa.string()),
    **dict.fromkeys(("prediction", "score", "label"), pa.float64()),
    **dict.fromkeys(("event_time", TIME), EVERY_TIME),
    "date": pa.date32(),
    "batch_id": pa.int64(),
}


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    arrived = draw(TIMES)
    found = {
        "id": draw(WORDS),
        "text": draw(WORDS),
        "prediction": draw(st.sampled_from([0.0, 1.0])),
        "sentiment": draw(st.sampled_from(["negative", "positive"])),
        "score": draw(st.floats(0, 1)),
        "label": draw(st.sampled_from([0.0, 1.0, None])),
        "model_name": 'a "model"',
        "model_version": "3",
        "event_time": draw(st.none() | TIMES),
        TIME: arrived,
        "date": arrived.date(),
        "batch_id": 5,
        "query_id": "0123",
        "source": draw(WORDS),
    }
    return {name: found[name] for name in PREDICTION_COLUMNS}


def in_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value.isoformat() if isinstance(value, date) else value


@given(st.lists(rows(), max_size=7), st.integers(1, 8))
def test_a_record_is_the_row_as_json(found: list[dict[str, Any]], at_once: int) -> None:
    table = pa.Table.from_pylist(found, pa.schema(list(KINDS.items())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_records, "ROWS_AT_ONCE", at_once)
        records = json_records.predictions(table).to_pylist()
    expected = [{name: in_json(value) for name, value in row.items() if value is not None} for row in found]
    assert [json.loads(record) for record in records] == expected
    assert [list(json.loads(record)) for record in records] == [list(row) for row in expected]
    assert all(type(json.loads(record)[name]) is float for record in records for name in ("score", "prediction"))


def test_what_a_text_holds_arrives_as_it_was() -> None:
    text = 'a "quote", \\ back, \t tab, \n line, \x00 nothing, \x7f, é, 最, 😀, \u2028'
    row = {**dict.fromkeys(PREDICTION_COLUMNS), "id": "1", "text": text, "source": "s", "sentiment": "positive"}
    row |= {"model_name": "m", "model_version": "1", "batch_id": 0, "query_id": "q"}
    row |= {"score": 1.0, "prediction": 1.0, TIME: datetime(2026, 3, 1, tzinfo=UTC), "date": date(2026, 3, 1)}
    (record,) = json_records.predictions(pa.Table.from_pylist([row], pa.schema(list(KINDS.items())))).to_pylist()
    assert json.loads(record)["text"] == text
    assert b'"prediction":1.0,"sentiment":"positive","score":1.0,"model_name":"m"' in record
    assert b'"ingest_time":"2026-03-01T00:00:00.000000Z","date":"2026-03-01","batch_id":0' in record
