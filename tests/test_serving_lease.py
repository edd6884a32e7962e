"""One driver per checkpoint: who comes later waits, who was passed over stops."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from sentiment import storage
from sentiment.serving import lease
from sentiment.serving.lease import Lease, LeaseLostError

pytestmark = pytest.mark.spark


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(lease, "QUIET_SECONDS", 1.5)
    return []


def take(lease: Lease, said: list[str]) -> None:
    lease.claim()
    lease.wait(said.append)


def test_a_released_lease_is_taken_at_once(spark: SparkSession, tmp_path: Path, quick: list[str]) -> None:
    first = Lease(spark, str(tmp_path))
    take(first, quick)
    first.release()
    second = Lease(spark, str(tmp_path))
    take(second, quick)
    second.release()
    assert (first.epoch, second.epoch) == (1, 2)
    assert quick == []


def test_a_newcomer_outbids_the_owner_who_then_stops(spark: SparkSession, tmp_path: Path, quick: list[str]) -> None:
    first, second = Lease(spark, str(tmp_path)), Lease(spark, str(tmp_path))
    take(first, quick)
    first.check()
    take(second, quick)
    assert "waiting up to" in quick[0]
    with pytest.raises(LeaseLostError, match="another driver has taken over"):
        first.check()
    second.check()
    second.release()


def test_the_time_that_a_store_takes_to_write_counts(
    spark: SparkSession, tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*args: Any) -> Any:
            found = write(*args)
            clock.now += lease.STALE_SECONDS + 1  # a newcomer has seen the file since
            return found

        return written

    clock = Clock()
    first, second = Lease(spark, str(tmp_path / "a"), clock), Lease(spark, str(tmp_path / "b"), clock)
    with monkeypatch.context() as patched:
        patched.setattr(storage, "create_text", slow(storage.create_text))
        first.claim()
    with pytest.raises(LeaseLostError, match="could not renew the lease"):
        first.check()
    second.claim()
    monkeypatch.setattr(storage, "replace_text", slow(storage.replace_text))
    with pytest.raises(LeaseLostError, match="could not renew the lease"):
        second.wait(quick.append)
    for each in (first, second):
        each.release()


def test_who_never_owned_releases_nothing(spark: SparkSession, tmp_path: Path, quick: list[str]) -> None:
    first, failed, third = (Lease(spark, str(tmp_path)) for _ in range(3))
    take(first, quick)
    failed.claim()
    failed.release()
    third.claim()
    began = time.monotonic()
    third.wait(quick.append)
    assert time.monotonic() - began > lease.QUIET_SECONDS - 0.5
    assert "00000001.json" in quick[0]
    third.release()
    fourth = Lease(spark, str(tmp_path))
    take(fourth, quick)
    fourth.release()
    assert len(quick) == 1


def test_the_time_since_the_claim_counts(spark: SparkSession, tmp_path: Path, quick: list[str]) -> None:
    killed, newcomer = Lease(spark, str(tmp_path)), Lease(spark, str(tmp_path))
    take(killed, quick)
    killed._ended.set()  # no renewal and no release, as after kill -9
    time.sleep(0.3)
    Path(killed._path(1)).write_text('{"owner": "ho')  # as after a power failure: it may have owned the checkpoint
    newcomer.claim()
    time.sleep(lease.QUIET_SECONDS)
    began = time.monotonic()
    newcomer.wait(quick.append)
    assert time.monotonic() - began < 0.4
    assert quick == []
    newcomer.release()


def test_an_owner_that_could_not_renew_stops_by_its_own_clock(
    spark: SparkSession, tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 3600.0)
    clock = Clock()
    frozen = Lease(spark, str(tmp_path), clock)
    take(frozen, quick)
    clock.now = lease.STALE_SECONDS - 1
    frozen.check()
    clock.now = lease.STALE_SECONDS + 1
    with pytest.raises(LeaseLostError, match="could not renew"):
        frozen.check()
    clock.now = 0.0
    with pytest.raises(LeaseLostError):
        frozen.check()
