"""A stream is asked to end, and whoever asked knows when it has."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serving_report
from chaos.zoo import NAME, Zoo
from pyspark.sql import SparkSession

from sentiment import objects
from sentiment.health import drain, streams
from sentiment.health.streams import Stream
from sentiment.jobs import DataError
from sentiment.serving import layout, service
from sentiment.serving.settings import FILE, JSON, ModelChoice, Serving, Sinks, Source


class Checkpoint:
    """The part of a checkpoint that a drain deals with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stream = Stream(folder.name, str(folder))
        objects.create(f"{folder}/{layout.SETTINGS}", "{}")

    def lease(self, epoch: int, state: str) -> None:
        objects.replace(f"{self.folder}/{layout.EPOCHS}/{epoch:08d}.json", json.dumps({"state": state}))

    @property
    def request(self) -> Path:
        return self.folder / layout.DRAIN


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    monkeypatch.setattr(drain, "LOOK_SECONDS", 0.05)
    return Checkpoint(tmp_path)


@pytest.fixture
def said() -> list[str]:
    return []


def wait_for(path: Path) -> None:
    until = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.02)


def test_a_place_without_a_stream_is_named(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(DataError, match=r"--checkpoint .*: want the checkpoint of a stream, found none"):
        drain.drain([Stream("tweets", str(tmp_path))], 1, 60, said.append)
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_has_ended_is_not_asked(checkpoint: Checkpoint, said: list[str]) -> None:
    checkpoint.lease(1, layout.RELEASED)
    drain.drain([checkpoint.stream], 1, 60, said.append)
    assert said == ["drain: the stream has ended already"]
    assert not checkpoint.request.exists()


def test_a_stream_that_does_not_end_in_time_is_told(checkpoint: Checkpoint, said: list[str]) -> None:
    checkpoint.lease(1, layout.OWNED)
    with pytest.raises(DataError, match=r"want the stream ended within 1 s, found its driver \(epoch 1\) still"):
        drain.drain([checkpoint.stream], 1, 60, said.append)


def test_a_driver_that_dies_of_it_is_told(checkpoint: Checkpoint, said: list[str]) -> None:
    checkpoint.lease(1, layout.OWNED)
    with pytest.raises(drain.DriverGoneError, match="want a driver that lives") as told:
        drain.drain([checkpoint.stream], 30, 1, said.append)
    assert told.value.exit_code == 4
    assert said == ["drain: asked; the stream ends when its batch is complete"]


def test_a_driver_that_starts_meanwhile_is_asked_again(checkpoint: Checkpoint, said: list[str]) -> None:
    checkpoint.lease(1, layout.OWNED)
    asking = threading.Thread(target=drain.drain, args=([checkpoint.stream], 20, 60, said.append))
    asking.start()
    wait_for(checkpoint.request)
    checkpoint.lease(2, layout.OWNED)
    checkpoint.request.unlink()  # what a new driver does with a request to the one before
    wait_for(checkpoint.request)
    checkpoint.lease(2, layout.RELEASED)
    asking.join(10)
    assert not asking.is_alive()
    assert said[1].startswith("drain: the stream has ended after ")


def test_all_streams_are_asked_before_any_is_waited_for_and_the_worst_exit_code_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drain, "LOOK_SECONDS", 0.05)
    dead, late, other, ended = (Checkpoint(tmp_path / name) for name in ("dead", "late", "other", "ended"))
    for living in (late, other):
        living.lease(1, layout.OWNED)
    ended.lease(1, layout.RELEASED)
    words = [word for name in ("dead", "late", "other", "ended") for word in stream_flag(tmp_path / name)]
    waits: list[list[bool]] = []
    rest = time.sleep

    def wait(seconds: float) -> None:
        waits.append([place.request.exists() for place in (dead, late, other, ended)])
        rest(seconds)

    monkeypatch.setattr(time, "sleep", wait)
    with pytest.raises(drain.DriverGoneError) as told:
        serving_report.main(["--action", "drain", "--wait-seconds", "1", *words])
    assert waits[0] == [False, True, True, False]
    asked = "drain: asked; the stream ends when its batch is complete"
    said = [f"late: {asked}", f"other: {asked}", "ended: drain: the stream has ended already"]
    assert capsys.readouterr().out.splitlines() == said
    for place in (dead, late, other):
        assert str(told.value).count(f"--checkpoint {place.folder}: want") == 1


def test_what_cannot_be_read_hides_no_other_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("damaged", "sound"):
        objects.create(f"{tmp_path / name}/{layout.SETTINGS}", json.dumps({"--output-path": str(tmp_path / "out")}))
    objects.create(f"{tmp_path}/damaged/{layout.INTENTS}/0.json", '{"created_ms": "soon"}')
    words = [*stream_flag(tmp_path / "damaged"), *stream_flag(tmp_path / "sound"), "--report", str(tmp_path / "report")]
    why = f"{tmp_path}/damaged/{layout.INTENTS}/0.json: want created_ms in milliseconds since 1970, found"
    with pytest.raises(DataError, match=f"^{why}"):
        serving_report.main(words)
    said = capsys.readouterr().out
    assert f"damaged: unreadable ({why}" in said
    assert "sound: down (no driver has ever taken the checkpoint" in said
    made = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (made["verdict"], [each["verdict"] for each in made["streams"]]) == ("unreadable", ["unreadable", "down"])


def stream_flag(folder: Path) -> list[str]:
    return ["--stream", f"name={folder.name},checkpoint={folder}"]


@pytest.fixture
def running(spark: SparkSession, zoo: Zoo, tmp_path: Path) -> Iterator[tuple[str, threading.Thread]]:
    """The checkpoint of a stream over files that runs in this process, after its first batch."""
    zoo.set_champion("1")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.json").write_text('{"text": "I love this"}\n')
    checkpoint = str(tmp_path / "checkpoint")
    serving = Serving(
        source=Source(FILE, path=str(tmp_path / "in"), format=JSON),
        sinks=Sinks(str(tmp_path / "out"), str(tmp_path / "dead")),
        model=ModelChoice(zoo.uri, NAME),
        checkpoint=checkpoint,
        interval_seconds=0,
    )
    thread = threading.Thread(target=service.serve, args=(spark, serving))
    thread.start()
    wait_for_batch = time.monotonic() + 120
    while not objects.names(f"{checkpoint}/{layout.MANIFESTS}"):
        assert thread.is_alive()
        assert time.monotonic() < wait_for_batch
        time.sleep(0.1)
    yield checkpoint, thread
    for query in spark.streams.active:
        query.stop()
    thread.join(60)


@pytest.mark.spark
def test_a_real_stream_ends_and_the_next_start_is_not_asked(
    running: tuple[str, threading.Thread], said: list[str]
) -> None:
    checkpoint, thread = running
    drain.drain([Stream("tweets", checkpoint)], 60, 60, said.append)
    thread.join(30)
    assert not thread.is_alive()
    assert said[1].startswith("drain: the stream has ended after ")
    found = streams.lease(checkpoint)
    assert found is not None
    assert found.state == layout.RELEASED
    assert streams.drain_pending(checkpoint)
