"""A batch held in the driver and one held in the executors are the same batch: figures, rows, files and records."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment.jobs import DataError
from sentiment.serving import files, held, parsing, rows, scoring, sources
from sentiment.serving.scoring import Loaded
from sentiment.serving.settings import FILE, KAFKA, Source

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(not held.CAN_COLLECT, reason="Spark 3.5 holds every batch in the executors"),
]
NOW = datetime(2026, 3, 2, tzinfo=UTC)
MESSAGES = [
    '{"id": "a", "text": "I love this \u2665", "timestamp": "2026-03-01T10:00:00Z", "label": 4}',
    '{"text": "no id, no time"}',
    '{"id": "c", "text": "na\u00efve \u4f60\u597d \\u0001", "label": "0"}',
    '{"id": "d", "text": 5}',
    "broken",
    "",
]


def scored(spark: SparkSession, messages: list[str], max_bytes: int = 1_000_000) -> DataFrame:
    times = [datetime(2026, 3, 1 + n % 2, tzinfo=UTC) for n in range(len(messages))]
    sent = [(bytearray(each.encode()), f"kafka:t/0/{n}", times[n]) for n, each in enumerate(messages)]
    frame = spark.createDataFrame(sent, "payload binary, source string, ingest_time timestamp")
    score = F.when(F.length("text") > 12, 0.75).otherwise(0.25)

    def apply(rows: DataFrame) -> DataFrame:
        return rows.withColumns({"prediction": F.round(score, 0), "score": score})

    parsed = parsing.parse(frame, Source(KAFKA), 1000)
    return scoring.score(parsed, Loaded("m", "7", apply), 3, "0123abcd-rest", max_bytes, max_dead_bytes=1_000_000)


def in_driver(frame: DataFrame) -> held.InDriver:
    table: Any = frame.toArrow()
    return held.InDriver(frame.sparkSession, table)


def both(frame: DataFrame) -> tuple[held.InDriver, held.InExecutors]:
    return in_driver(frame), held.InExecutors(frame)


def read(spark: SparkSession, held_rows: Any, folder: Path) -> DataFrame:
    written = files.publish(spark, held_rows, str(folder), "0123abcd-rest", 3, False)
    found = files.read(spark, str(folder), written)
    assert found is not None
    return found


def test_figures_are_the_same(spark: SparkSession) -> None:
    driver, executors = both(scored(spark, MESSAGES))
    found = driver.figures(NOW)
    assert found == pytest.approx(executors.figures(NOW))
    assert (found["rows_in"], found["rows_out"], found["dead_letters"]) == (6, 3, 3)
    assert found["lag_seconds"] == 86400
    executors.release()


def test_a_batch_of_the_first_second_of_1970_is_as_old_as_that() -> None:
    assert held._figures(NOW, 1, 1, 1.0, 1.0, oldest=0)["lag_seconds"] == NOW.timestamp()
    assert held._figures(NOW, 0, 0, None, None, oldest=None)["lag_seconds"] == 0


@pytest.mark.parametrize("messages", [MESSAGES[:3], MESSAGES[3:]], ids=["no dead letter", "no prediction"])
def test_figures_of_a_batch_of_one_kind_are_the_same(spark: SparkSession, messages: list[str]) -> None:
    driver, executors = both(scored(spark, messages))
    assert driver.figures(NOW) == pytest.approx(executors.figures(NOW))
    executors.release()


def test_files_have_the_same_names_types_and_rows(spark: SparkSession, tmp_path: Path) -> None:
    driver, executors = both(scored(spark, MESSAGES))
    for kind, count in (("predictions", 3), ("dead_letters", 3)):
        found = []
        for name, of in (("driver", driver), ("executors", executors)):
            found.append(read(spark, getattr(of, kind)(), tmp_path / name / kind))
        ours, sparks = found
        assert ours.schema == sparks.schema
        assert sorted(ours.collect(), key=lambda row: row["source"]) == sorted(
            sparks.collect(), key=lambda row: row["source"]
        )
        assert ours.count() == count
        names = [
            sorted(str(path.relative_to(tmp_path / name)) for path in tmp_path.glob(f"{name}/{kind}/date=*/[!.]*"))
            for name in ("driver", "executors")
        ]
        assert len(names[0]) == 2
        assert names[0] == names[1]
        assert not list((tmp_path / "driver" / kind / "_staging").iterdir())
    executors.release()


def records(of: held.Held, kind: str, key: str) -> set[tuple[str, bytes, str]]:
    chunks = getattr(of, kind)().records(key)
    return {each for keys, values, places in chunks for each in zip(keys, map(bytes, values), places, strict=True)}


def test_records_are_the_same_bytes(spark: SparkSession) -> None:
    driver, executors = both(scored(spark, MESSAGES))
    for kind, key in (("predictions", "id"), ("dead_letters", "source")):
        found = records(driver, kind, key)
        assert found == records(executors, kind, key)
        assert len(found) == 3
        assert all(value.startswith(b"{") for _, value, _ in found)
    executors.release()


def test_large_records_come_in_parts(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BYTES_AT_ONCE", 50_000)
    made = [("k", bytearray(b"x" * 10_000), f"kafka:t/0/{n}") for n in range(20)]
    frame = spark.createDataFrame(made, "key string, inner_value binary, source string")
    parts = [places for _, _, places in rows.SparkRows(frame, 20).records("key")]
    assert len(parts) == 5
    assert max(map(len, parts)) < 10
    assert sorted(place for part in parts for place in part) == sorted(place for _, _, place in made)


def test_what_a_batch_has_none_of_is_nothing(spark: SparkSession) -> None:
    for of in both(scored(spark, MESSAGES[:3])):
        assert of.dead_letters() is None
        assert of.predictions() is not None
        of.release()


def test_a_record_that_its_topic_would_refuse_is_a_dead_letter_with_a_record_of_its_own(spark: SparkSession) -> None:
    driver = in_driver(scored(spark, MESSAGES[:3], max_bytes=10))
    assert driver.predictions() is None
    found = [value for _, value, _ in records(driver, "dead_letters", "source")]
    assert [b"larger than the topic" in value for value in found] == [True] * 3


def test_a_large_table_is_cut_into_several_files(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ROWS_PER_FILE", 2)
    predictions = in_driver(scored(spark, MESSAGES[:1] * 10)).predictions()
    assert read(spark, predictions, tmp_path).count() == 10
    assert len(list(tmp_path.glob("date=*/*.parquet"))) == 6  # five rows a date


def test_a_folder_that_cannot_be_written_is_named(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=f"^cannot write {tmp_path}/file/out/_staging/.*: .*Not a directory"):
        read(spark, in_driver(scored(spark, MESSAGES)).predictions(), tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("source", "known", "small"),
    [
        (Source(KAFKA), {"t": {"0": [5, 60_005], "1": [0, 40_000]}}, True),
        (Source(KAFKA), {"t": {"0": [0, 100_001]}}, False),
        (Source(FILE), {"file:/a.csv": [20_000_000, 1]}, True),
        (Source(FILE), {"file:/a.csv": [10_000_000, 1], "file:/b.csv": [10_000_001, 1]}, False),
        (Source(FILE), {"file:/a.csv.gz": [10, 1]}, False),
        (Source(FILE), {"file:/a.csv": [10, 1], "file:/b.csv.bz2": [10, 1]}, False),
        (Source(FILE), {"file:/a.json.zst": [10, 1]}, False),
        (Source(FILE), {"file:/a.json.deflate": [10, 1]}, False),
        (Source(FILE), {"file:/a.json.lz4": [10, 1]}, False),
        (Source(FILE), {"file:/a.json.snappy": [10, 1]}, False),
    ],
)
def test_a_batch_is_small_by_its_offsets_or_its_bytes(source: Source, known: dict[str, Any], small: bool) -> None:
    assert sources.is_small(source, known) is small
