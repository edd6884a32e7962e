"""One driver per checkpoint: who comes later waits, who was passed over stops."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

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


def test_a_released_lease_is_taken_at_once(spark: SparkSession, tmp_path: Path, quick: list[str]) -> None:
    first = Lease(spark, str(tmp_path))
    first.take(quick.append)
    first.release()
    second = Lease(spark, str(tmp_path))
    second.take(quick.append)
    second.release()
    assert (first.epoch, second.epoch) == (1, 2)
    assert quick == []


def test_a_newcomer_outbids_the_owner_who_then_stops(spark: SparkSession, tmp_path: Path, quick: list[str]) -> None:
    first, second = Lease(spark, str(tmp_path)), Lease(spark, str(tmp_path))
    first.take(quick.append)
    first.check()
    second.take(quick.append)
    assert "waiting up to" in quick[0]
    with pytest.raises(LeaseLostError, match="another driver has taken over"):
        first.check()
    second.check()
    second.release()


def test_an_owner_that_could_not_renew_stops_by_its_own_clock(
    spark: SparkSession, tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 3600.0)
    clock = Clock()
    frozen = Lease(spark, str(tmp_path), clock)
    frozen.take(quick.append)
    clock.now = lease.STALE_SECONDS - 1
    frozen.check()
    clock.now = lease.STALE_SECONDS + 1
    with pytest.raises(LeaseLostError, match="could not renew"):
        frozen.check()
    clock.now = 0.0
    with pytest.raises(LeaseLostError):
        frozen.check()
