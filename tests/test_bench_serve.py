"""The serving benchmark's arithmetic: rows per second from commits, latency from messages, its peers' commands."""

import os
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from benchmarks import latency, serve
from sentiment.jobs import DataError


def place_with_commits(folder: Path, times: list[float]) -> Path:
    commits = folder / "checkpoint" / "commits"
    commits.mkdir(parents=True)
    (folder / "out").mkdir()
    for number, moment in enumerate(times):
        path = commits / str(number)
        path.write_text("v1")
        os.utime(path, (moment, moment))
    return folder


def test_the_first_batches_and_a_last_one_that_is_not_full_do_not_count(tmp_path: Path) -> None:
    slow_start = [0.0, 50.0, 90.0, 120.0, 130.0]
    place = place_with_commits(tmp_path, [*slow_start, 132.0, 134.0, 136.0, 136.1])
    assert serve.rows_per_second(place, rows=85, per_batch=10) == pytest.approx(5.0)


def test_too_few_batches_are_an_error_and_no_figure(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="want 8 batches or more, found 6"):
        serve.rows_per_second(place_with_commits(tmp_path, [1.0] * 6), rows=60, per_batch=10)


def test_swaps_end_with_an_error_where_the_messages_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "IDLE_SECONDS", 0.5)
    (tmp_path / "0.json").write_text('{"model_version": "1"}')
    stream = latency.Background([], tmp_path / "log", {})
    monkeypatch.setattr(stream, "check", lambda: None)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(DataError, match=r"want 2 swaps under load, found no batch for 0\.5 s after 0"):
        latency.swap_under_load(tmp_path, client, "m", ["1", "2"], 2, stream)
