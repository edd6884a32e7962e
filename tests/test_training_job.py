"""The training jobs from end to end, on a real registry: what they register, log, write and refuse."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import create_splits
import mlflow
import numpy as np
import preprocess
import psutil
import pytest
import sentiment_multimodel
import train_and_log
from mlflow.tracking import MlflowClient
from pyspark.ml.classification import LogisticRegressionModel
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from second_way import SecondWay, walked

from sentiment import datasets, evaluation, features, models, registry, signals, tracking, training
from sentiment.drift import bins
from sentiment.features import FOLD, HASH, FeatureTable
from sentiment.gate import validation, versions
from sentiment.jobs import DataError
from sentiment.progress import Progress
from sentiment.scores import Scores
from sentiment.training import Options, Trainer

pytestmark = pytest.mark.spark

PREFIX = "twitter-sentiment-model"
METRICS = ["accuracy", "f1", "precision", "recall", "roc_auc", "pr_auc", "log_loss", "rows"]


@dataclass
class Trained:
    """Where one training left everything."""

    splits: Path
    output: Path
    uri: str

    @property
    def client(self) -> MlflowClient:
        return tracking.client(self.uri)

    def again(self, *extra: str) -> None:
        train_and_log.main(["--data", str(self.splits), "--output", str(self.output), "--mlflow-uri", self.uri, *extra])

    def versions(self, suffix: str) -> list[str]:
        return sorted(str(v.version) for v in self.client.search_model_versions(f"name='{PREFIX}-{suffix}'"))

    def aliases(self) -> dict[str, str]:
        found = self.client.get_registered_model(f"{PREFIX}-best").aliases
        return {alias: str(version) for alias, version in found.items()}  # a database gives whole numbers


@pytest.fixture(scope="module")
def second_way_in(sample_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> SecondWay:
    return walked(tmp_path_factory.mktemp("second-way"), sample_csv)


@pytest.fixture(scope="module")
def trained(spark: SparkSession, second_way_in: SecondWay) -> Iterator[Trained]:
    """What the README's second way in left; its folder is the working directory, where mlruns/ lies."""
    spark.catalog.clearCache()  # earlier tests leave rows persisted
    folder = second_way_in.folder
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        yield Trained(folder / "data_clean" / "splits", folder / "models", f"sqlite:///{folder}/mlflow.db")


def test_the_second_way_in_leads_to_a_registered_model(second_way_in: SecondWay) -> None:
    assert "best model   twitter-sentiment-model-best, version 1" in second_way_in.printed
    assert (second_way_in.folder / "mlflow.db").exists()
    assert (second_way_in.folder / "mlruns").is_dir()
    assert second_way_in.left == []


def test_four_classifiers_and_the_best_are_registered(trained: Trained) -> None:
    for suffix in [*models.NAMES, "best"]:
        assert trained.versions(suffix)[0] == "1"
    assert trained.aliases()["champion"] == "1"


@pytest.mark.parametrize("name", models.NAMES)
def test_the_run_of_each_version_explains_it(trained: Trained, name: str) -> None:
    client = trained.client
    version = client.get_model_version(f"{PREFIX}-{name}", "1")
    assert version.run_id is not None
    run = client.get_run(version.run_id)
    wanted = {f"{prefix}{metric}" for metric in METRICS for prefix in ("", "dev_")} | {"fit_seconds"}
    assert wanted <= run.data.metrics.keys()
    assert 0.7 < run.data.metrics["accuracy"] < 0.95
    assert {"train_ratio", "val_ratio", "hash_salt", "seed", "train_seed"} <= run.data.params.keys()
    assert {"git_revision", "code_digest", "spark_minor", "train_digest"} <= version.tags.keys()
    artifacts = {artifact.path for artifact in client.list_artifacts(version.run_id)}
    assert {"model", "plots", "mistakes.json", "profile.json"} <= artifacts
    assert len(client.list_artifacts(version.run_id, "plots")) == 4
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.info.status == "FINISHED"
    assert parent.inputs is not None
    assert parent.inputs.dataset_inputs[0].dataset.digest == version.tags["train_digest"]
    profile = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/profile.json")
    assert len(profile["score_deciles"]) == len(profile["text_length_deciles"]) == 11
    assert len(profile["top_tokens"]) == 50
    held = bins.read(profile)
    assert {sum(held[name].counts) for name in (bins.SCORE, bins.LENGTH)} == {run.data.metrics["rows"]}
    shares = [round(count / profile["rows"], 6) for count in held[bins.TOKENS].counts[:-1]]
    assert dict(zip(held[bins.TOKENS].tokens, shares, strict=True)) == profile["top_tokens"]
    assert held[bins.TOKENS].counts[-1] > 0
    mistakes = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/mistakes.json")
    assert len(mistakes["data"]) == 10


def test_the_output_folder_holds_models_plots_figures_and_the_log(trained: Trained) -> None:
    run = json.loads((trained.output / "run.json").read_text())
    assert run["state"] == "finished"
    assert {step["name"] for step in run["steps"]} >= {"features", "logisticregression and linearsvc", *models.TREES}
    assert json.loads((trained.output / "metrics.json").read_text()).keys() == set(models.NAMES)
    assert len(list((trained.output / "plots").glob("*.png"))) == 16
    assert "features: " in (trained.output / "training.log").read_text()


@pytest.mark.parametrize("name", models.NAMES)
def test_a_version_takes_raw_text_and_is_made_of_spark_s_own_stages(
    spark: SparkSession, trained: Trained, name: str
) -> None:
    tracking.client(trained.uri)  # an earlier test of the run may have made another registry MLflow's default
    model = mlflow.spark.load_model(f"models:/{PREFIX}-{name}/1")
    texts = ["i love this so much", "i hate this awful day", None, "", "не нравится", "x" * 1_000_000]
    frame = spark.createDataFrame([(k, content) for k, content in enumerate(texts)], "k int, text string")
    scored = model.transform(frame)
    assert scored.columns == ["k", "text", "prediction", "probability"]
    rows = scored.select("k", "prediction", vector_to_array(F.col("probability")).alias("p")).collect()
    assert len(rows) == len(texts)
    for row in rows:
        assert sum(row["p"]) == pytest.approx(1.0)
        assert row["prediction"] == float(row["p"][1] > row["p"][0])
    said = {row["k"]: row["prediction"] for row in rows}
    assert (said[0], said[1]) == (1.0, 0.0)
    stages = (trained.output / name / "sparkml" / "stages").glob("*/metadata/part-*")
    classes = [json.loads(path.read_text())["class"] for path in stages]
    assert len(classes) > 4
    assert all(stage.startswith("org.apache.spark.ml.") for stage in classes)


def test_two_cores_give_the_same_figures_as_one(spark: SparkSession, trained: Trained, tmp_path: Path) -> None:
    """From raw tweets to figures, without the way into the registry."""
    assert spark.sparkContext.defaultParallelism == 2
    clean, splits = str(tmp_path / "clean"), str(tmp_path / "splits")
    preprocess.main(["--input", str(trained.output.parent / "data_raw"), "--output", clean])
    create_splits.main(["--input", clean, "--output", splits])
    divided = {name: datasets.read_clean(spark, f"{splits}/{name}", "splits") for name in datasets.SPLIT_NAMES}
    run = trained.client.get_run(json.loads((trained.output / "run.json").read_text())["run_id"])
    features_asked = int(run.data.params["num_features"])
    salt, rows = run.data.params["hash_salt"], divided["train"].count()
    table = features.build(divided, rows, features_asked, training.FOLDS, salt, in_memory=False)
    trainer = Trainer(table, Options(models.NAMES), Progress())
    one = json.loads((trained.output / "metrics.json").read_text())
    assert one.keys() == set(models.NAMES)
    for name in models.NAMES:
        fitted = trainer.fit(name)
        dev, test = (evaluation.figures(scores) for scores in evaluation.score(fitted, table).values())
        two = test | {f"dev_{metric}": value for metric, value in dev.items()} | fitted.metrics
        assert one[name].keys() == two.keys() | {"fit_seconds"}
        for metric, value in two.items():
            assert one[name][metric] == pytest.approx(value, abs=5e-5), (name, metric)


def test_a_second_training_is_only_challenger(trained: Trained) -> None:
    trained.again("--models", "logisticregression", "--seed", "7")
    newest = trained.versions("best")[-1]
    assert int(newest) > 1
    assert trained.aliases() == {"champion": "1", "challenger": newest}
    best = trained.client.get_model_version(f"{PREFIX}-best", newest)
    assert best.run_id is not None
    child = trained.client.get_run(best.run_id).data
    for params in (child.params, trained.client.get_run(child.tags["mlflow.parentRunId"]).data.params):
        assert (params["seed"], params["train_seed"]) == ("42", "7")


def test_a_classifier_that_fails_fails_the_job_after_the_others_are_logged(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = trained.versions("logisticregression"), trained.versions("best")
    fit = Trainer.fit

    def broken(trainer: Trainer, name: str) -> Any:
        if name == "linearsvc":
            raise RuntimeError("no such luck")
        return fit(trainer, name)

    monkeypatch.setattr(Trainer, "fit", broken)
    with pytest.raises(DataError, match=r"1 of 2 classifiers failed \(linearsvc: no such luck\)"):
        trained.again("--models", "linearsvc,logisticregression")
    assert len(trained.versions("logisticregression")) == len(before[0]) + 1
    assert trained.versions("best") == before[1]
    run = json.loads((trained.output / "run.json").read_text())
    assert run["state"] == "failed"
    assert run["failed"] == {"linearsvc": "no such luck"}
    assert run["reason"] == "1 of 2 classifiers failed (linearsvc: no such luck)"
    assert trained.client.get_run(run["run_id"]).info.status == "FAILED"


def test_a_version_that_cannot_be_read_back_is_not_left_in_the_registry(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = trained.versions("best")
    read_back = registry.read_back
    meanwhile: list[list[str]] = []

    def broken(spark: SparkSession, name: str, *rest: Any) -> None:
        if name.endswith("-best"):
            meanwhile.append(trained.versions("best"))
            raise DataError(f"{name} cannot be read back")
        read_back(spark, name, *rest)

    monkeypatch.setattr(registry, "read_back", broken)
    with pytest.raises(DataError, match="best cannot be read back"):
        trained.again("--models", "logisticregression")
    assert trained.versions("best") == before
    assert meanwhile == [before]  # a job that is killed meanwhile leaves none either


def test_a_model_that_says_something_else_after_reading_back_is_refused(spark: SparkSession, trained: Trained) -> None:
    tracking.client(trained.uri)
    wrong = Scores(["1"], ["i love this"], np.array([1.0]), np.array([0.123]), np.array([0.0]))
    with (
        registry.scratch_folder(spark) as scratch,
        pytest.raises(DataError, match=r"scores 0\.\d+ where the fitted model gave 0\.123000"),
    ):
        registry.read_back(spark, f"{PREFIX}-gbt", f"models:/{PREFIX}-gbt/1", wrong, scratch)


def test_the_grid_is_searched_straight_from_raw_tweets(
    spark: SparkSession, sample_csv: Path, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = models.spec

    def small(name: str, train_rows: int, seed: int) -> models.Spec:
        forest = spec(name, train_rows, seed)
        return replace(forest, estimator=forest.estimator.setNumTrees(3), grid={"maxDepth": [1, 3]})

    monkeypatch.setattr(models, "spec", small)
    arguments = ["--input", str(sample_csv), "--output", str(tmp_path), "--mlflow-uri", trained.uri, "--enable-cv"]
    arguments += ["--models", "randomforest", "--max-rows", "1000", "--registered-model-name", "grid"]
    sentiment_multimodel.main(arguments)
    run_id = trained.client.get_model_version("grid-randomforest", "1").run_id
    assert run_id is not None
    params = trained.client.get_run(run_id).data.params
    assert params["cv_folds"] == "2"
    assert params["maxDepth"] == params["cv_maxDepth"]
    assert params["maxDepth"] in ("1", "3")
    assert 0.5 < float(params["cv_roc_auc"]) <= 1.0
    # The gate finds the rows that this training kept apart, and reads there how.
    version = versions.read(trained.client, "grid-best", "1")
    kept = validation.read(spark, version.validation_data)
    assert kept.test == f"{tmp_path}/splits/test"
    assert len(kept.rows) == int(version.params["rows_test"]) > 50
    assert versions.split_differences(version.splitting, kept.splitting) == []


def test_no_row_is_scored_by_a_model_that_saw_it(spark: SparkSession) -> None:
    rows = spark.range(60).select(F.col("id").cast("string").alias("id"), (F.col("id") % 3).cast("int").alias(FOLD))
    rows = rows.withColumn("split", F.lit("train"))
    train, held = Trainer(FeatureTable(rows, [], 60), Options([]), Progress())._one_fold_held_out()
    assert sorted(int(row["id"]) for row in held.collect()) == list(range(0, 60, 3))
    assert sorted(int(row["id"]) for row in train.collect()) == [id_ for id_ in range(60) if id_ % 3]


class Seeing:
    """In the place of an SVC: keeps what it is fitted on and what it is asked."""

    def fit(self, rows: DataFrame) -> "Seeing":
        self.learned = [row["id"] for row in rows.collect()]
        return self

    def transform(self, rows: DataFrame) -> DataFrame:
        self.asked = [row["id"] for row in rows.collect()]
        sign = F.col("label") - 0.5
        return rows.withColumn(models.MARGIN, array_to_vector(F.array(-sign, sign)))


@pytest.mark.parametrize(("count", "least", "most"), [(200, 25, 75), (40_000, 1_800, 2_200)])
def test_the_svc_is_calibrated_on_rows_that_it_never_saw(
    spark: SparkSession, count: int, least: int, most: int
) -> None:
    rows = spark.range(count).withColumns({"split": F.lit("train"), HASH: F.xxhash64("id"), "label": F.col("id") % 2.0})
    svc = Seeing()
    tail: list[Any] = Trainer(FeatureTable(rows, [], count), Options([]), Progress())._calibrated(svc)
    assert tail[0] is svc
    assert isinstance(tail[1], LogisticRegressionModel)
    assert tail[1].coefficients.toArray()[1] > 0
    assert least <= len(svc.asked) <= most
    assert sorted([*svc.learned, *svc.asked]) == list(range(count))


def test_linear_classifiers_are_fitted_side_by_side_and_fail_alone(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = spark.range(1).withColumn("split", F.lit("train"))
    both = threading.Barrier(2, timeout=30)

    def fitted(_: Trainer, name: str, _rows: DataFrame) -> str:
        both.wait()
        if name == "logisticregression":
            raise RuntimeError("no such luck")
        return name

    monkeypatch.setattr(Trainer, "_fitted", fitted)
    steps = Progress()
    trainer = Trainer(FeatureTable(rows, [], 1), Options(["linearsvc", "gbt", "logisticregression"]), steps)
    with pytest.raises(RuntimeError, match="no such luck"):
        trainer.fit("logisticregression")
    found: Any = trainer.fit("linearsvc")
    assert found == "linearsvc"
    assert [step["name"] for step in steps.steps] == ["logisticregression and linearsvc"]
    assert Trainer(trainer.table, Options(models.NAMES, cv_folds=2), steps)._side_by_side("linearsvc") == ["linearsvc"]


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "sqlite:////dev/null/x.db", "nonsense://x"])
def test_a_registry_that_is_away_is_named_before_anything_is_trained(
    trained: Trained, tmp_path: Path, uri: str
) -> None:
    begun = time.monotonic()
    with pytest.raises(DataError, match=f"--mlflow-uri {uri}: want an MLflow server or database"):
        train_and_log.main(["--data", str(trained.splits), "--output", str(tmp_path), "--mlflow-uri", uri])
    assert time.monotonic() - begun < 60
    assert list(tmp_path.iterdir()) == []  # what an earlier training left there stays true


def test_a_run_that_the_environment_names_is_left_alone(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking.client(trained.uri)
    foreign = trained.client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", foreign)
    with tracking.parent_run("default", {"seed": 1}, {}) as run:
        assert run.info.run_id != foreign
    assert trained.client.get_run(foreign).data.params == {}


def test_an_experiment_that_was_deleted_is_named(trained: Trained, tmp_path: Path) -> None:
    trained.client.delete_experiment(trained.client.create_experiment("gone"))
    with pytest.raises(DataError, match=r"--mlflow-experiment gone: Cannot set a deleted experiment"):
        trained.again("--mlflow-experiment", "gone", "--output", str(tmp_path))


def test_an_output_that_cannot_be_written_is_named_before_anything_is_trained(trained: Trained, tmp_path: Path) -> None:
    blocked = tmp_path / "file" / "models"
    blocked.parent.write_text("a plain file")
    with pytest.raises(DataError, match=r"cannot write .*/file/models/run.json"):
        train_and_log.main(["--data", str(trained.splits), "--output", str(blocked), "--mlflow-uri", trained.uri])


def test_splits_that_turn_out_to_be_damaged_are_named(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.splits, tmp_path / "splits")
    file = max((tmp_path / "splits" / "dev").glob("*.parquet"))
    content = file.read_bytes()
    file.write_bytes(content[:4] + bytes(200) + content[204:])  # its ids, which nobody reads before there are features
    file.with_name(f".{file.name}.crc").unlink()
    with pytest.raises(DataError, match=rf"^--data {tmp_path}/splits: [^\n]*{file.name}[^\n]*$") as told:
        trained.again("--data", str(tmp_path / "splits"), "--output", str(tmp_path / "models"))
    run = json.loads((tmp_path / "models" / "run.json").read_text())
    assert (run["state"], run["reason"]) == ("failed", tracking.brief(told.value))


def test_a_folder_that_holds_no_splits_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--data: want a folder that create_splits\.py wrote"):
        train_and_log.main(["--data", str(tmp_path)])


@pytest.mark.parametrize("end", [RuntimeError("power cut"), signals.EndedBySignalError(signal.SIGTERM)])
def test_a_job_keeps_its_log_when_training_breaks(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    def broken(*_: Any) -> None:
        raise end

    monkeypatch.setattr(features, "build", broken)
    with pytest.raises(type(end), match=str(end)):
        train_and_log.main(["--data", str(trained.splits), "--output", str(tmp_path), "--mlflow-uri", trained.uri])
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["state"], run["reason"]) == ("failed", str(end))
    assert trained.client.get_run(run["run_id"]).info.status == "FAILED"
    assert "features ..." in (tmp_path / "training.log").read_text()


def test_a_jvm_that_is_killed_is_told_as_that_and_in_run_json(trained: Trained, tmp_path: Path) -> None:
    job = [sys.executable, train_and_log.__file__, "--data", str(trained.splits), "--mlflow-uri", trained.uri]
    env = {key: given for key, given in os.environ.items() if not key.startswith(("PYSPARK_", "SPARK_ENV", "MLFLOW_"))}
    process = subprocess.Popen(
        [*job, "--models", "logisticregression", "--output", str(tmp_path)],
        cwd=tmp_path,
        env=env,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told = []
    for line in process.stderr:
        told.append(line)
        if line.endswith("  logisticregression ...\n"):
            (jvm,) = psutil.Process(process.pid).children()
            jvm.kill()
    assert process.wait(60) == 1
    ended = "want Spark's JVM to run, found that it ended: killed by SIGKILL"
    reason = f"{ended}; out of memory? (SENTIMENT_DRIVER_MEMORY is its heap)"
    assert told[-1] == f"train_and_log.py: error: {reason}\n"
    of_pyspark = r"-{40}\nException occurred during processing of request .*?\n-{40}\n"  # its server of accumulators
    assert "Traceback" not in re.sub(of_pyspark, "", "".join(told), flags=re.DOTALL)
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["state"], run["reason"], run["failed"]) == ("failed", reason, {})
    assert trained.client.get_run(run["run_id"]).info.status == "FAILED"
