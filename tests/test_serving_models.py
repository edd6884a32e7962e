"""A model goes live only when it can be loaded, scores sensibly and tells the classes apart; else the old one stays."""

from pathlib import Path
from typing import Any

import pytest
from chaos.zoo import NAME, Zoo
from pyspark.sql import SparkSession

from sentiment.serving import models
from sentiment.serving.models import Copies, Registry, RegistryAwayError
from sentiment.serving.settings import ModelChoice
from sentiment.serving.swap import FETCHES, Keeper

pytestmark = pytest.mark.spark


def started(spark: SparkSession, zoo: Zoo, checkpoint: Path) -> Keeper:
    zoo.set_champion("1")
    choice = ModelChoice(zoo.uri, NAME)
    copies = Copies(spark, str(checkpoint), choice)
    keeper = Keeper(Registry(zoo.client, choice), copies, 3600, lambda _step, _number: None)
    keeper.start()
    keeper.stop()
    return keeper


def test_a_moved_alias_is_swapped_in_between_batches_only(spark: SparkSession, zoo: Zoo, tmp_path: Path) -> None:
    keeper = started(spark, zoo, tmp_path)
    zoo.set_champion("2")
    keeper.look()
    assert keeper.live.version == "1"
    assert keeper.current().version == "2"
    assert (keeper.live.version, keeper.swaps) == ("2", 1)
    assert keeper.version(NAME, "1").version == "1"


REASONS = {
    "corrupt": "is damaged",
    "truncated": "cannot be loaded",
    "wrong-schema": "lacks probability",
    "other-Spark": "was made with Spark 2.4.8",
    "one-class": "to every text of the probe set",
}


@pytest.mark.parametrize("fault", list(REASONS))
def test_an_unfit_model_is_named_and_never_live(spark: SparkSession, zoo: Zoo, tmp_path: Path, fault: str) -> None:
    keeper = started(spark, zoo, tmp_path)
    zoo.set_champion(zoo.bad[fault])
    keeper.look()
    assert keeper.current().version == "1"
    assert keeper.rejected
    version, reason = keeper.rejected
    assert version == zoo.bad[fault]
    assert REASONS[fault] in reason
    assert zoo.client.get_model_version(NAME, version).tags["serving_rejected"] == reason[:500]
    zoo.set_champion("2")
    keeper.look()
    assert keeper.current().version == "2"
    assert not keeper.rejected


def test_a_rejected_version_is_not_tried_again_until_the_alias_moves(
    spark: SparkSession, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = started(spark, zoo, tmp_path)
    zoo.set_champion(zoo.bad["one-class"])
    keeper.look()
    checks: list[Any] = []
    monkeypatch.setattr(models, "check", lambda _spark, model: checks.append(model))
    keeper.look()
    assert checks == []
    zoo.set_champion("1")
    keeper.look()
    zoo.set_champion(zoo.bad["one-class"])
    keeper.look()
    assert len(checks) == 1


def test_a_registry_that_is_away_changes_nothing(
    spark: SparkSession, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = started(spark, zoo, tmp_path)
    before = keeper.staleness

    def away(*_: Any) -> str:
        raise RegistryAwayError("500")

    monkeypatch.setattr(keeper.registry, "resolve", away)
    keeper.look()
    assert keeper.current().version == "1"
    assert keeper.staleness >= before
    monkeypatch.undo()
    zoo.set_champion("3")
    monkeypatch.setattr(keeper.registry, "download", away)
    for _ in range(FETCHES - 1):
        keeper.look()
        assert keeper.rejected == ()
    keeper.look()
    assert keeper.rejected == ("3", "500")
    assert keeper.current().version == "1"
