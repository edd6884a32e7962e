"""Validation rows on gs:// for the gate on a machine whose Spark has no connector of Google's."""

import tempfile
from pathlib import Path

import pytest
from buckets import Store
from gate_shelf import rows, write_splits
from gcs_service import Gcs
from pyspark.sql import SparkSession

from sentiment import storage
from sentiment.gate import fresh, validation
from sentiment.gate.trial import Request
from sentiment.jobs import DataError

pytestmark = pytest.mark.spark

BUCKET = "sentiment-bucket-models"


@pytest.fixture
def place(gcs: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new folder on the store, which google-cloud-storage finds and Spark, whose session is older, does not."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address())
    return f"gs://{BUCKET}/training/{tmp_path.name}"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of this test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def upload(gcs: Gcs, folder: Path, place: str) -> None:
    with Store(gcs.port) as store:
        for path in folder.rglob("*"):
            if path.is_file():
                name = f"{place.removeprefix(f'gs://{BUCKET}/')}/{path.relative_to(folder).as_posix()}"
                store.write(BUCKET, name, path.read_bytes())


@pytest.mark.parametrize("asked", ["splits", "splits/", "splits/test"])
def test_the_splits_are_read_without_a_connector_and_no_copy_stays(
    spark: SparkSession, gcs: Gcs, place: str, tmp_path: Path, temporary: Path, asked: str
) -> None:
    local = write_splits(tmp_path / "splits", rows())
    upload(gcs, tmp_path / "splits", f"{place}/splits")
    with pytest.raises(DataError, match="No FileSystem"):
        storage.exists(spark, place)
    found, known = validation.read(spark, f"{place}/{asked}"), validation.read(spark, str(local))
    assert found.test == f"{place}/splits/test"
    assert (found.splitting, found.digest, found.counts) == (known.splitting, known.digest, known.counts)
    assert found.rows.equals(known.rows)
    assert list(temporary.iterdir()) == []


def test_what_is_wrong_with_them_names_the_place_in_the_bucket(
    spark: SparkSession, gcs: Gcs, place: str, tmp_path: Path, temporary: Path
) -> None:
    write_splits(tmp_path / "empty", rows())
    (tmp_path / "empty" / "test" / "part-0.parquet").unlink()
    write_splits(tmp_path / "columns", rows().rename(columns={"text": "tweet"}))
    write_splits(tmp_path / "damaged", rows())
    (tmp_path / "damaged" / "test" / "part-0.parquet").write_bytes(b"PAR1")
    write_splits(tmp_path / "train", rows())
    reasons = {
        "absent": f"{place}/absent: want a folder that create_splits.py wrote, or its test/, found no",
        "empty": f"want a Parquet folder of clean tweets at {place}/empty/test, found nothing",
        "columns": f"want columns id string, text string, label double in {place}/columns/test, found",
        "damaged": f"{place}/damaged/test",
        "train/test/part-0.parquet": "found no splits.json in it or beside it",
        "train/train": f"{place}/train/train: want the test split, which no training looks at, found train",
    }
    for name in ("empty", "columns", "damaged", "train"):
        upload(gcs, tmp_path / name, f"{place}/{name}")
    for name, reason in reasons.items():
        with pytest.raises(DataError) as caught:
            validation.read(spark, f"{place}/{name}")
        assert str(caught.value).startswith("--validation-data")
        assert reason in str(caught.value)
        assert str(temporary) not in str(caught.value)
    with pytest.raises(DataError, match=r"^--validation-data gs://no-such-bucket: .* found no splits.json"):
        validation.read(spark, "gs://no-such-bucket")


def test_the_gates_own_process_reads_them(
    gcs: Gcs, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_splits(tmp_path / "splits", rows())
    upload(gcs, tmp_path / "splits", f"{place}/splits")
    monkeypatch.setenv("SENTIMENT_DRIVER_MEMORY", "1g")
    asked = Request("sqlite:///none.db", "model", "2", "1", f"{place}/splits", {}, load=False)
    found = fresh.run(asked, 120)
    assert (found.test, sum(found.counts.values())) == (f"{place}/splits/test", len(rows()))
