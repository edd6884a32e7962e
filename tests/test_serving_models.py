"""A model goes live only when it can be loaded, scores sensibly and tells the classes apart; else the old one stays."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import mlflow.pyfunc
import pandas as pd
import pytest
from chaos.zoo import NAME, Zoo
from pyspark import SparkFiles
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from services import free_port

from sentiment import hadoop, registry, storage, whole_folders
from sentiment.jobs import DataError
from sentiment.registry import register
from sentiment.serving import models, pyfunc
from sentiment.serving.models import Copies, Registry, RegistryAwayError, UnfitModelError
from sentiment.serving.scoring import Loaded
from sentiment.serving.settings import ModelChoice
from sentiment.serving.swap import FETCHES, Keeper

pytestmark = pytest.mark.spark


def started(
    spark: SparkSession, zoo: Zoo, checkpoint: Path, drop_unwanted: Callable[[], None] = lambda: None
) -> Keeper:
    zoo.set_champion("1")
    choice = ModelChoice(zoo.uri, NAME)
    copies = Copies(spark, str(checkpoint), choice)
    keeper = Keeper(Registry(zoo.client, choice), copies, 3600, lambda _step, _number: None, drop_unwanted)
    keeper.choose()
    keeper.start()
    keeper.stop()
    return keeper


def away(*_: Any) -> str:
    raise RegistryAwayError("500")


def test_a_model_is_tried_by_compiled_code_and_without_a_python_worker(spark: SparkSession) -> None:
    rows = registry.numbered(spark, ["a", None], "place").withColumn("long", F.length("text"))
    assert [tuple(row) for row in rows.collect()] == [(0, "a", 1), (1, None, None)]
    plan = rows._jdf.queryExecution().executedPlan().toString()
    assert "ExistingRDD" not in plan, "rows that Python workers read"
    assert "*(1) Project" in plan, plan


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
    monkeypatch.setattr(keeper.registry, "resolve", away)
    keeper.look()
    assert keeper.current().version == "1"
    assert keeper.staleness >= before
    monkeypatch.undo()
    zoo.set_champion("3")
    monkeypatch.setattr(keeper.registry, "download", away)
    for _ in range(FETCHES + 1):
        keeper.look()
    assert keeper.rejected == ()
    monkeypatch.undo()
    keeper.look()
    assert keeper.current().version == "3"


def test_a_version_whose_files_stay_missing_is_rejected(spark: SparkSession, zoo: Zoo, tmp_path: Path) -> None:
    keeper = started(spark, zoo, tmp_path)
    nowhere = (tmp_path / "nowhere").as_uri()
    version = zoo.client.create_model_version(NAME, nowhere).version
    zoo.set_champion(str(version))
    for _ in range(FETCHES - 1):
        keeper.look()
        assert keeper.rejected == ()
    keeper.look()
    assert keeper.rejected
    assert "could not be fetched" in keeper.rejected[1]
    assert keeper.current().version == "1"


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ("404 Client Error: Not Found for url: http://mlflow/api/2.0/mlflow-artifacts/artifacts/1/model", True),
        ("404 GET https://storage.googleapis.com/storage/v1/b/models/o/x: No such object: models/x", True),
        ("An error occurred (404) when calling the HeadObject operation: Not Found", True),
        ("No such file or directory: '/mnt/models/x'", True),
        ("500 Server Error: Internal Server Error for url: http://mlflow/404/", False),
        ("HTTPConnectionPool(host='mlflow', port=404): Max retries exceeded (Connection refused)", False),
        ("503 GET https://storage.googleapis.com/storage/v1/b/models/o/x: Service Unavailable", False),
        ("HTTPSConnectionPool(host='s3'): Read timed out. (read timeout=60)", False),
    ],
)
def test_a_store_that_is_away_is_told_from_files_that_are_missing(said: str, missing: bool) -> None:
    assert models.is_missing(OSError(said)) == missing


def feigned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Models that cost nothing to load, those of the bad versions included; the versions that are loaded."""
    loads: list[str] = []

    def load(_copies: Copies, name: str, version: str, _flavor: str) -> Loaded:
        loads.append(version)
        return Loaded(name, version, lambda rows: rows)

    monkeypatch.setattr(Copies, "add", lambda *_: True)
    monkeypatch.setattr(Copies, "drop", lambda *_: None)
    monkeypatch.setattr(Copies, "is_of", lambda *_: True)
    monkeypatch.setattr(Copies, "load", load)
    monkeypatch.setattr(models, "check", lambda _spark, _model: None)
    return loads


def unread_description(patch: pytest.MonkeyPatch) -> None:
    right = storage.read_text

    def read_text(spark: SparkSession, location: str) -> str:
        if location.endswith("MLmodel"):
            with hadoop.telling(f"cannot read {location}"):
                raise OSError("503 Service Unavailable")
        return right(spark, location)

    patch.setattr(storage, "read_text", read_text)


def unread_stages(patch: pytest.MonkeyPatch) -> None:
    right, nowhere = PipelineModel.load, f"hdfs://127.0.0.1:{free_port()}/model"
    patch.setattr(PipelineModel, "load", lambda _: right(nowhere))


def unread_while_checked(patch: pytest.MonkeyPatch) -> None:
    nowhere = f"hdfs://127.0.0.1:{free_port()}/model"
    patch.setattr(models, "_applied", lambda _, rows: rows.sparkSession.read.text(nowhere))


def test_a_version_that_a_store_fails_to_give_is_tried_again(
    spark: SparkSession, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        feigned(patch)
        keeper = started(spark, zoo, tmp_path)
    monkeypatch.setattr(Copies, "_numbers", lambda *_: None)
    zoo.set_champion("2")
    for fail in (unread_description, unread_stages, unread_while_checked):
        with pytest.MonkeyPatch.context() as patch:
            fail(patch)
            keeper.look()
        assert (keeper.current().version, keeper.rejected) == ("1", ())
    keeper.look()
    assert keeper.current().version == "2"


def unfit(_spark: SparkSession, model: Loaded) -> None:
    raise UnfitModelError(f"version {model.version} says 0 to every text")


def test_an_offer_that_the_alias_no_longer_names_is_withdrawn(
    spark: SparkSession, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = feigned(monkeypatch)
    keeper = started(spark, zoo, tmp_path)
    zoo.set_champion("2")
    keeper.look()
    with monkeypatch.context() as patch:
        patch.setattr(models, "check", unfit)
        zoo.set_champion(zoo.bad["one-class"])
        keeper.look()
    assert keeper.current().version == "1"
    zoo.set_champion("2")
    keeper.look()
    loads.clear()
    zoo.set_champion("1")
    keeper.look()
    assert (keeper.current().version, keeper.swaps, loads) == ("1", 0, [])


def test_a_version_that_the_alias_left_while_it_was_loaded_never_goes_live(
    spark: SparkSession, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feigned(monkeypatch)
    keeper = started(spark, zoo, tmp_path)
    zoo.set_champion("2")
    with monkeypatch.context() as patch:
        patch.setattr(models, "check", lambda *_: zoo.set_champion("1"))
        keeper.look()
    assert (keeper.current().version, keeper.swaps) == ("1", 0)


def test_what_a_swap_leaves_wanted_is_the_live_model_its_offered_successor_and_what_it_replaced(
    spark: SparkSession, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feigned(monkeypatch)
    keeper = started(spark, zoo, tmp_path)
    assert keeper.wanted == {(NAME, "1")}
    zoo.set_champion("2")
    keeper.look()
    assert keeper.wanted == {(NAME, "1"), (NAME, "2")}
    keeper.current()
    zoo.set_champion("3")
    keeper.look()
    keeper.current()
    assert keeper.wanted == {(NAME, "2"), (NAME, "3")}


def test_copies_that_nothing_wants_are_dropped_once_after_each_swap(
    spark: SparkSession, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drop_unwanted() -> None:
        dropped.append(keeper.live.version)
        if len(dropped) == 1:
            raise DataError("503")

    dropped: list[str] = []
    feigned(monkeypatch)
    keeper = started(spark, zoo, tmp_path, drop_unwanted)
    zoo.set_champion("2")
    keeper.look()
    assert dropped == []
    keeper.current()
    for _ in range(3):
        keeper.look()
    assert dropped == ["2", "2"]


def test_a_swap_that_could_not_be_noted_is_made_again(
    spark: SparkSession, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feigned(monkeypatch)
    keeper = started(spark, zoo, tmp_path)
    zoo.set_champion("2")
    keeper.look()
    (tmp_path / "models").rename(tmp_path / "elsewhere")
    (tmp_path / "models").write_text("where no file can lie")
    with pytest.raises(DataError, match="cannot write"):
        keeper.current()
    assert (keeper.live.version, keeper.swaps) == ("1", 0)
    (tmp_path / "models").unlink()
    assert (keeper.current().version, keeper.swaps) == ("2", 1)
    assert json.loads((tmp_path / "models/good.json").read_text())["version"] == "2"


def test_a_worker_keeps_the_live_model_and_the_one_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Model:
        def predict(self, texts: pd.DataFrame) -> pd.Series:
            return pd.Series([0.9] * len(texts))

    def load(archive: str) -> Model:
        fetched.append(archive)
        return Model()

    fetched: list[str] = []
    monkeypatch.setattr(pyfunc, "_WORKER_MODELS", {})
    monkeypatch.setattr(SparkFiles, "get", lambda archive: archive)
    monkeypatch.setattr(mlflow.pyfunc, "load_model", load)
    for archive in ("1", "2", "1", "3", "2", "3"):
        assert list(pyfunc.predicted(archive, pd.Series(["love"]))["score"]) == [0.9]
    assert fetched == ["1", "2", "3"]
    assert list(pyfunc._WORKER_MODELS) == ["2", "3"]


def test_a_copy_is_sent_to_the_executors_once_however_often_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_folders, "download", lambda _spark, _location, folder: folder.mkdir())
    spark = Mock()
    first, again, other = (pyfunc._archive(spark, f"models/{copy}", "m-1") for copy in "aab")
    assert first == again != other
    assert [Path(call.args[0]).name for call in spark.sparkContext.addArchive.call_args_list] == [first, other]


class Lines:
    """A model that takes the texts themselves, of a frame its column's name, as a pipeline of scikit-learn does."""

    def predict(self, texts: Any) -> Any:
        return [self.score(text) for text in texts]

    def score(self, text: str) -> float:
        return 0.9 if text == "love" else 0.2


class Frames(Lines):
    """A model that takes a frame, with texts that it cannot score; `away`: neither can it any other."""

    away = False

    def predict(self, texts: Any) -> Any:
        return pd.DataFrame({"score": super().predict(texts["text"])})

    def score(self, text: str) -> float:
        if text == "boom" or self.away:
            raise ValueError(f'cannot "take" {text} of http://me:secret@host, \u4f60')  # pragma: allowlist secret
        return super().score(text)


def scored(monkeypatch: pytest.MonkeyPatch, model: Lines, texts: list[str | None]) -> pd.DataFrame:
    monkeypatch.setattr(pyfunc, "_WORKER_MODELS", {})
    monkeypatch.setattr(SparkFiles, "get", lambda archive: archive)
    monkeypatch.setattr(mlflow.pyfunc, "load_model", lambda _: model)
    return pyfunc.predicted("1", pd.Series(texts))


@pytest.mark.parametrize("model", [Lines(), Frames()], ids=["texts", "frame"])
@pytest.mark.parametrize(
    ("texts", "scores"), [(["love"], [0.9]), (["love", None], [0.9, 0.2]), (["a", "love", "b"], [0.2, 0.9, 0.2])]
)
def test_a_batch_of_one_row_is_scored_as_any_other(
    monkeypatch: pytest.MonkeyPatch, model: Lines, texts: list[str | None], scores: list[float]
) -> None:
    found = scored(monkeypatch, model, texts)
    assert found["score"].tolist() == scores
    assert found["prediction"].tolist() == [float(score > 0.5) for score in scores]


def test_a_text_that_a_model_raises_on_costs_no_other_its_score(monkeypatch: pytest.MonkeyPatch) -> None:
    found = scored(monkeypatch, Frames(), ["love", "boom", "day", "boom", "love"])
    assert found["score"].fillna(-1).tolist() == [0.9, -1, 0.2, -1, 0.9]
    told = 'the model raised ValueError: cannot "take" boom of http://host, ?'
    assert found["error"].tolist() == [None, told, None, told, None]


def test_an_answer_too_few_costs_one_text_its_score(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dropping(Frames):
        def predict(self, texts: Any) -> Any:
            return super().predict(texts[texts["text"] != ""])

    found = scored(monkeypatch, Dropping(), ["love", "", "day"])
    assert found["error"].tolist() == [None, "the model raised ValueError: 0 answers for 1 texts", None]


def test_a_model_that_raises_on_every_text_is_at_fault_and_no_text_is(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Frames()
    scored(monkeypatch, model, ["love"])
    model.away = True
    with pytest.raises(ValueError, match=r"cannot .take. good"):
        pyfunc.predicted("1", pd.Series(["love", "day"]))
    with pytest.raises(ValueError, match=r"cannot .take. good"):
        scored(monkeypatch, model, ["love", "day"])


def test_want_of_memory_is_no_text_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    class Large(Lines):
        def score(self, text: str) -> float:
            if text == "boom":
                raise MemoryError
            return super().score(text)

    with pytest.raises(MemoryError):
        scored(monkeypatch, Large(), ["love", "boom"])


def test_a_model_that_raises_on_an_odd_text_is_unfit_and_the_reason_told(spark: SparkSession) -> None:
    def apply(rows: DataFrame) -> DataFrame:
        reason = F.when(F.length("text") == 0, "the model raised ValueError: no words")
        return rows.withColumns({"prediction": F.lit(1.0), "score": F.lit(0.9), "reason": reason})

    with pytest.raises(UnfitModelError, match=r"^version 7 cannot score '': the model raised ValueError: no words$"):
        models.check(spark, Loaded("m", "7", apply))


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are loaded, but not tried, which takes seconds."""
    monkeypatch.setattr(models, "check", lambda _spark, _model: None)
    monkeypatch.setattr(Copies, "_numbers", lambda *_: None)


def again(keeper: Keeper, resolve: Callable[..., str] | None = None) -> Keeper:
    """The next life of a driver on the same checkpoint."""
    registry = Registry(keeper.registry.client, keeper.registry.choice)
    if resolve:
        registry.resolve = resolve  # type: ignore[method-assign]
    made = Keeper(registry, keeper.copies, 3600, lambda _step, _number: None)
    made.choose()
    return made


@pytest.mark.usefixtures("untried")
def test_a_read_that_fails_costs_a_start_without_registry_no_copy(
    spark: SparkSession, zoo: Zoo, tmp_path: Path
) -> None:
    keeper = started(spark, zoo, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        unread_description(patch)
        with pytest.raises(RegistryAwayError, match="503"):
            again(keeper, away).start()
    assert keeper.copies.has(NAME, "1")


@pytest.mark.usefixtures("untried")
def test_a_copy_that_was_spoiled_is_fetched_again(spark: SparkSession, zoo: Zoo, tmp_path: Path) -> None:
    keeper = started(spark, zoo, tmp_path)
    (description,) = tmp_path.glob("models/*/MLmodel")
    description.write_text("flavors: {}")
    next_life = again(keeper)
    next_life.start()
    next_life.stop()
    assert next_life.current().version == "1"


def test_a_copy_of_a_model_that_had_the_number_before_is_replaced(
    spark: SparkSession, zoo: Zoo, tmp_path: Path
) -> None:
    choice = ModelChoice(zoo.uri, NAME)
    copies = Copies(spark, str(tmp_path), choice)
    assert copies.add(Registry(zoo.client, choice), "1")
    anew = zoo.copied(tmp_path).client
    wanted = anew.get_model_version(NAME, "3")
    anew.delete_registered_model(NAME)
    source = str(wanted.source)
    assert register(anew, NAME, str(wanted.run_id), source, {}, "made anew") == "1"
    assert copies.add(Registry(anew, choice), "1")
    copies.keep_only({(NAME, "1")})
    (copy,) = tmp_path.glob("models/*/MLmodel")
    assert copy.read_text() == Path(source.removeprefix("file://"), "MLmodel").read_text()


def test_a_model_that_was_registered_anew_under_the_number_of_the_live_one_replaces_it(
    spark: SparkSession, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = zoo.copied(tmp_path)
    (tmp_path / "checkpoint").mkdir()
    monkeypatch.setattr(models, "check", lambda _spark, _model: None)
    monkeypatch.setattr(Copies, "_numbers", lambda *_: None)
    keeper = started(spark, mine, tmp_path / "checkpoint")
    old, wanted = keeper.live, mine.client.get_model_version(NAME, "3")

    def register_anew() -> None:
        mine.client.delete_registered_model(NAME)
        assert register(mine.client, NAME, str(wanted.run_id), str(wanted.source), {}, "made anew") == "1"
        mine.set_champion("1")

    register_anew()
    with monkeypatch.context() as patch:
        patch.setattr(models, "check", unfit)
        keeper.look()
    assert (keeper.current(), keeper.rejected[:1]) == (old, ("1",))
    keeper.look()
    assert keeper.current() is old
    register_anew()
    keeper.look()
    assert (keeper.current().version, keeper.current() is old, keeper.rejected) == ("1", False, ())
    keeper.look()
    keeper.current()
    assert keeper.swaps == 1


def test_a_copy_of_an_earlier_release_serves_until_the_registry_answers(
    spark: SparkSession, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = ModelChoice(zoo.uri, NAME)
    copies, registry = Copies(spark, str(tmp_path), choice), Registry(zoo.client, choice)
    copies.add(registry, "1")
    (mark,) = tmp_path.glob("models/*.whole")
    mark.write_text(mark.read_text().splitlines()[0])
    with monkeypatch.context() as patch:
        patch.setattr(registry, "identity", away)
        assert not copies.add(registry, "1")
    assert copies.add(registry, "1")
    assert not copies.add(registry, "1")


@pytest.mark.parametrize(
    ("wanted", "is_there"),
    [({}, True), ({"version": "1"}, True), ({"version": "2"}, False), ({"alias": "challenger"}, False)],
)
def test_a_start_without_registry_serves_a_copy_of_what_is_wanted_or_nothing(
    spark: SparkSession,
    zoo: Zoo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wanted: dict[str, str],
    is_there: bool,
) -> None:
    copies = started(spark, zoo, tmp_path).copies
    registry = Registry(zoo.client, ModelChoice(zoo.uri, NAME, **wanted))
    monkeypatch.setattr(registry, "resolve", away)
    monkeypatch.setattr(registry, "download", away)
    next_life = Keeper(registry, copies, 3600, lambda _step, _number: None)
    if not is_there:
        with pytest.raises(RegistryAwayError, match="500"):
            next_life.choose()
        return
    next_life.choose()
    next_life.start()
    next_life.stop()
    assert next_life.current().version == "1"
    if not wanted:
        (tmp_path / "models/good.json").write_text('{"name": "')
        with pytest.raises(DataError, match=f"^--checkpoint {tmp_path}/models/good.json: want a JSON object"):
            Keeper(registry, copies, 3600, lambda _step, _number: None).choose()
