"""A batch's files: named by the batch alone, written again without adding, and never another batch's."""

import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from py4j.protocol import MEMORY_COMMAND_NAME
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import hadoop, storage, whole_folders
from sentiment.jobs import DataError
from sentiment.serving import files, rows
from sentiment.serving.lease import LeaseLostError
from sentiment.serving.rows import SparkRows

pytestmark = pytest.mark.spark
QUERY, OTHER = "0123abcd-rest", "ffff0000-rest"


def made(spark: SparkSession, count: int, dates: tuple[str, ...] = ("2026-03-01",)) -> DataFrame:
    days = F.array(*[F.lit(datetime.date.fromisoformat(date)) for date in dates])
    return spark.range(count).withColumn("date", F.element_at(days, (F.col("id") % len(dates) + 1).cast("int")))


def there(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.glob("date=*/*.parquet"))


def publish(spark: SparkSession, frame: DataFrame | None, count: int, folder: Path, batch: int, **kwargs: bool) -> None:
    held = SparkRows(frame, count) if frame is not None else None
    files.publish(spark, held, str(folder), QUERY, batch, kwargs.get("replayed", False))


def test_a_listing_asks_java_as_often_for_many_files_as_for_one(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [".hidden.crc", "_staging", *(f"{number}.json" for number in range(300))]:
        (tmp_path / name).touch()
    client = spark._jvm._gateway_client  # type: ignore[union-attr]
    asked: list[str] = []
    send = client.send_command

    def counted(command: str, *rest: Any) -> Any:
        if not command.startswith(MEMORY_COMMAND_NAME):  # of objects that nobody has any more, whenever that is found
            asked.append(command)
        return send(command, *rest)

    monkeypatch.setattr(client, "send_command", counted)
    assert sorted(storage.names(spark, str(tmp_path))) == sorted(f"{number}.json" for number in range(300))
    assert storage.names(spark, str(tmp_path / "nowhere")) == []
    assert len(asked) < 100


def test_a_place_has_one_name_in_full(spark: SparkSession) -> None:
    here = f"{Path.cwd()}/a b%20[1]"
    for name in ("a b%20[1]", "./a b%20[1]//", "x/../a b%20[1]", here, f"file:{here}", f"file://{here}/"):
        assert hadoop.full_name(spark, name) == here
    assert hadoop.full_name(spark, "/") == "/"


@pytest.mark.parametrize("name", ["a b%ö", "a%20b", "a:b?#[1]"])
def test_a_folder_is_copied_to_a_store_and_back_whatever_its_name(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    first, back = tmp_path / name / "first", tmp_path / name / "back"
    first.mkdir(parents=True)
    (first / "one.txt").write_text("one")
    whole_folders.upload(spark, first, str(tmp_path / "there"))
    whole_folders.download(spark, str(tmp_path / "there"), back)
    assert (back / "one.txt").read_text() == "one"


def test_names_depend_on_the_batch_alone(spark: SparkSession, tmp_path: Path) -> None:
    publish(spark, made(spark, 10, ("2026-03-01", "2026-03-02")), 10, tmp_path, 7)
    assert there(tmp_path) == [
        "date=2026-03-01/0123abcd-00000007-0.parquet",
        "date=2026-03-02/0123abcd-00000007-0.parquet",
    ]
    assert spark.read.parquet(str(tmp_path)).count() == 10
    assert not list((tmp_path / "_staging").iterdir())


def test_a_replay_replaces_its_own_files_under_every_date_and_no_other_s(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "out[1]"  # no pattern
    publish(spark, made(spark, 4, ("2026-03-01", "2026-03-02")), 4, folder, 1)
    publish(spark, made(spark, 4), 4, folder, 2)
    files.publish(spark, SparkRows(made(spark, 4), 4), str(folder), OTHER, 1, False)
    publish(spark, made(spark, 5, ("2026-03-02",)), 5, folder, 1, replayed=True)
    assert there(folder) == [
        "date=2026-03-01/0123abcd-00000002-0.parquet",
        "date=2026-03-01/ffff0000-00000001-0.parquet",
        "date=2026-03-02/0123abcd-00000001-0.parquet",
    ]
    assert sum(pq.read_metadata(folder / path).num_rows for path in there(folder)) == 13


def test_a_replay_without_rows_leaves_nothing_of_an_earlier_attempt(spark: SparkSession, tmp_path: Path) -> None:
    publish(spark, made(spark, 4), 4, tmp_path, 1)
    publish(spark, None, 0, tmp_path, 1, replayed=True)
    assert there(tmp_path) == []


@pytest.mark.parametrize(("replayed", "steps"), [(False, 0), (True, 0), (True, 1)])
def test_who_has_been_passed_over_removes_and_replaces_nothing(
    spark: SparkSession, tmp_path: Path, replayed: bool, steps: int
) -> None:
    left = iter(range(steps))

    def check() -> None:
        if next(left, None) is None:
            raise LeaseLostError("another driver has taken over")

    publish(spark, made(spark, 4), 4, tmp_path, 1)
    staged = tmp_path / "_staging" / "0123abcd-00000001-of-another"
    staged.mkdir()
    with pytest.raises(LeaseLostError):
        files.publish(spark, SparkRows(made(spark, 9), 9), str(tmp_path), QUERY, 1, replayed, check=check)
    assert spark.read.parquet(str(tmp_path)).count() == 4
    assert staged.exists() == (steps == 0)


def test_files_that_were_removed_before_they_were_moved_are_an_error_and_the_old_ones_stay(
    spark: SparkSession, tmp_path: Path
) -> None:
    class Cleared(SparkRows):
        def write(self, folder: str, kind: str) -> None:
            super().write(folder, kind)
            storage.delete(self.frame.sparkSession, folder)

    publish(spark, made(spark, 4), 4, tmp_path, 1)
    with pytest.raises(DataError, match="want the batch's files, found that somebody has removed them"):
        files.publish(spark, Cleared(made(spark, 9), 9), str(tmp_path), QUERY, 1, True)
    (old,) = there(tmp_path)
    with pytest.raises(DataError, match=r"want .*absent to move there, found no such file"):
        storage.move(spark, str(tmp_path / "absent"), str(tmp_path / old))
    assert spark.read.parquet(str(tmp_path)).count() == 4


def test_times_in_json_have_their_microseconds(spark: SparkSession, tmp_path: Path) -> None:
    frame = made(spark, 1).withColumn("ingest_time", F.lit("2026-03-01T10:00:00.123456Z").cast("timestamp"))
    (path,) = files.publish(spark, SparkRows(frame, 1), str(tmp_path), QUERY, 1, False, kind="json")
    assert '"2026-03-01T10:00:00.123456Z"' in storage.read_text(spark, path)


def test_large_batches_are_cut_into_several_files(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ROWS_PER_FILE", 10)
    publish(spark, made(spark, 35), 35, tmp_path, 1)
    assert len(there(tmp_path)) >= 4
    assert spark.read.parquet(str(tmp_path)).distinct().count() == 35
