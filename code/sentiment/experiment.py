"""One training from splits to registered models: what train_and_log.py and sentiment_multimodel.py both do."""

import json
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.tracking import MlflowClient
from pyspark.sql import DataFrame, SparkSession

from sentiment import (
    evaluation,
    features,
    hadoop,
    jobs,
    models,
    objects,
    plots,
    registry,
    report,
    signals,
    splits,
    storage,
    tracking,
    training,
    whole_folders,
)
from sentiment.datasets import DEV, TEST
from sentiment.evaluation import TokenCounts
from sentiment.jobs import DataError
from sentiment.live.ledger import Ledger
from sentiment.live.opening import announce_best, open_ledger
from sentiment.progress import Progress, log
from sentiment.scores import Scores
from sentiment.training import Trained, Trainer
from sentiment.training_arguments import Settings


@dataclass
class Logged:
    """One classifier after it was logged: its figures (by metric name), run and version in the registry."""

    name: str
    metrics: dict[str, float]
    run_id: str
    source: str
    version: str


@dataclass
class Results:
    """What came of a training; `reason` is why it failed."""

    experiment_id: str = ""
    run_id: str = ""
    logged: list[Logged] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    best: str = ""
    best_version: str = ""
    best_aliases: list[str] = field(default_factory=list)


def train(spark: SparkSession, divided: dict[str, DataFrame], settings: Settings, steps: Progress, work: Path) -> None:
    """Train, log, register and report; raise DataError at the end when a classifier failed.

    Args:
        spark: the session.
        divided: clean tweets by the name of the split.
        settings: what and where.
        steps: of the job.
        work: a local folder for files on their way to `settings.output`.
    """
    results = Results()
    (work / "plots").mkdir()
    with signals.spark_threads(2) as beside:  # MLflow takes seconds where it makes its database first
        counting = beside.submit(splits.count_labels, divided)
        waking = beside.submit(features.wake_workers, spark)
        with steps.step("checking the output and the registry"):
            client = tracking.connect(settings.mlflow_uri)
            ledger = open_ledger(client, settings.registered(registry.BEST), settings.ledger)
            ledger.check()
            place = hadoop.full_name(spark, settings.output)
            storage.write_json(spark, storage.join(settings.output, "run.json"), {"state": "running"})
    try:
        waking.result()
        _train(spark, divided, counting, settings, steps, work, client, ledger, results)
    except BaseException as error:
        ended = jobs.end_of_jvm()
        # A signal may have ended both; of a JVM that is gone nobody can ask what an error of its own says.
        results.reason = ended if ended and not isinstance(error, KeyboardInterrupt) else tracking.java_line(error)
        try:
            if ended:
                _leave_word(place, _summary(settings, steps, results))
            else:
                _leave_files(spark, settings, steps, work, results)
        except Exception as unwritten:  # noqa: BLE001  what ended the training is to be told, not this
            log.warning("figures and log were not written to %s: %s", settings.output, tracking.java_line(unwritten))
        raise
    if results.failed:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in results.failed.items())
        results.reason = f"{len(results.failed)} of {len(settings.options.names)} classifiers failed ({reasons})"
    _leave_files(spark, settings, steps, work, results)
    print(report.table(settings, results, steps), flush=True)
    if results.failed:
        raise DataError(results.reason)


def _train(
    spark: SparkSession,
    divided: dict[str, DataFrame],
    counting: Future[dict[str, dict[str, int]]],
    settings: Settings,
    steps: Progress,
    work: Path,
    client: MlflowClient,
    ledger: Ledger,
    results: Results,
) -> None:
    tags = tracking.provenance()
    params = {
        "input": settings.input,
        "validation_data": settings.splits,
        "num_features": settings.num_features,
        "models": ",".join(settings.options.names),
        "cv_folds": settings.options.cv_folds,
        **settings.seeded,
    }
    with tracking.parent_run(settings.experiment, params, tags) as run, registry.scratch_folder(spark) as scratch:
        results.experiment_id, results.run_id = run.info.experiment_id, run.info.run_id
        with steps.step("counting the splits"), hadoop.telling(f"cannot read {settings.input}"):
            with jobs.naming(settings.source):
                counts = counting.result()
            mlflow.log_params({f"rows_{name}": sum(labels.values()) for name, labels in counts.items()})
            digest = tracking.log_input(client, results.run_id, divided["train"], settings.input, "training")
        if settings.keep_test:
            with steps.step(f"writing the test split to {settings.splits}"):
                report = {**settings.splitting, "rows": {TEST: counts[TEST]}}
                splits.write(spark, {TEST: divided[TEST]}, report, settings.splits)
        with steps.step("features"):
            salt = str(settings.splitting["hash_salt"])
            rows = sum(counts["train"].values())
            trees = any(name in models.TREES for name in settings.options.names)
            with hadoop.telling(settings.source), jobs.naming(settings.source):
                table = features.build(
                    divided, rows, settings.num_features, training.FOLDS, salt, settings.in_memory, trees
                )
        trainer = Trainer(table, settings.options, steps)
        job = _Job(spark, client, settings, steps, work, scratch, {**tags, "train_digest": digest})
        for name in settings.options.names:
            try:
                results.logged.append(job.log(trainer.fit(name), table))
            except Exception as error:  # noqa: BLE001  one classifier must not cost the others; the job fails at its end
                signals.raise_if_ended()
                jobs.raise_if_jvm_ended()
                results.failed[name] = tracking.brief(error)
                log.exception("%s failed", name)
        if results.failed:
            mlflow.set_tag("failed", ",".join(results.failed))
        else:
            job.register_best(results, ledger)
    if results.failed:
        client.set_terminated(results.run_id, "FAILED")


class _Job:
    """What every classifier of one training is logged with."""

    def __init__(
        self,
        spark: SparkSession,
        client: MlflowClient,
        settings: Settings,
        steps: Progress,
        work: Path,
        scratch: str,
        tags: dict[str, str],
    ) -> None:
        self.spark, self.client, self.settings, self.steps = spark, client, settings, steps
        self.work, self.scratch, self.tags = work, scratch, tags
        self.test_scores: dict[str, Scores] = {}
        self.tokens: TokenCounts | None = None

    def log(self, trained: Trained, table: features.FeatureTable) -> Logged:
        """Score, log, register and read back one classifier."""
        name = trained.name
        with self.steps.step(f"{name}: scoring dev and test"):
            scores = evaluation.score(trained, table)
            test = scores[TEST]
            metrics = evaluation.figures(test)
            metrics |= {f"dev_{metric}": value for metric, value in evaluation.figures(scores[DEV]).items()}
            metrics |= {"fit_seconds": trained.seconds, **trained.metrics}
            self.tokens = self.tokens or evaluation.top_tokens(table.split(TEST), len(test.texts))
        with self.steps.step(f"{name}: logging"), mlflow.start_run(run_name=name, nested=True, tags=self.tags) as run:
            mlflow.log_params({**trained.params, **self.settings.seeded})
            mlflow.log_metrics(metrics)
            run_id = run.info.run_id
            with signals.spark_threads(1) as beside:  # Spark saves while Python draws
                place = (self.work / name, run_id, test.texts[0], self.scratch)
                saving = beside.submit(registry.save, trained.pipeline, *place)
                _log_results(name, test, evaluation.profile(test, self.tokens), self.work / "plots")
                saving.result()
            mlflow.log_artifacts(str(self.work / name), registry.ARTIFACT)
            source = f"{run.info.artifact_uri}/{registry.ARTIFACT}"
        whole_folders.upload(self.spark, self.work / name, storage.join(self.settings.output, name))
        self.test_scores[name] = test
        self._write_scores()
        registered = self.settings.registered(name)
        with self.steps.step(f"{registered}: registering and reading back"):
            why = "trained by one of the suite's training jobs"
            version = registry.register(self.client, registered, run_id, source, self.tags, why)
            try:
                uri = f"models:/{registered}/{version}"
                registry.read_back(self.spark, f"{registered} version {version}", uri, test, self.scratch)
            except BaseException:
                self.client.delete_model_version(registered, version)
                raise
        return Logged(name, metrics, run_id, source, version)

    def register_best(self, results: Results, ledger: Ledger) -> None:
        """The best by dev accuracy as `<name>-best`: the version that was read back as the classifier's, once more.

        Only what could be read back becomes one: a job that is killed meanwhile leaves nothing unread under that name.
        """
        best = max(results.logged, key=lambda logged: logged.metrics["dev_accuracy"])
        why = f"best of {len(results.logged)} by dev accuracy: {best.name}, {best.metrics['dev_accuracy']:.4f}"
        tags = {**self.tags, "classifier": best.name}
        name = self.settings.registered(registry.BEST)
        with self.steps.step(f"{name}: reading back and registering"):
            uri = f"models:/{self.settings.registered(best.name)}/{best.version}"
            registry.read_back(self.spark, name, uri, self.test_scores[best.name], self.scratch)
            results.best_version = registry.register(self.client, name, best.run_id, best.source, tags, why)
        results.best = best.name
        results.best_aliases = announce_best(self.client, name, results.best_version, ledger)

    def _write_scores(self) -> None:
        """The test rows' scores of every classifier so far, for paired comparisons."""
        tables = [
            pa.table(
                {
                    "classifier": [name] * len(scores.ids),
                    "id": scores.ids,
                    "label": scores.labels,
                    "score": scores.probabilities,
                }
            )
            for name, scores in self.test_scores.items()
        ]
        pq.write_table(pa.concat_tables(tables), self.work / "test_scores.parquet")


def _log_results(name: str, scores: Scores, profile: dict[str, Any], plots_folder: Path) -> None:
    """Log plots, the most confident mistakes and the profile to the active run."""
    for path in plots.draw_all(name, scores, plots_folder):
        mlflow.log_artifact(str(path), "plots")
    mlflow.log_table(evaluation.most_confident_mistakes(scores), "mistakes.json")
    mlflow.log_dict(profile, "profile.json")


def _summary(settings: Settings, steps: Progress, results: Results) -> dict[str, Any]:
    """What run.json says at the end."""
    return {
        "state": "finished" if results.best_aliases and not results.failed else "failed",
        "reason": results.reason,
        "steps": steps.steps,
        "seconds": round(steps.elapsed(), 3),
        "experiment_id": results.experiment_id,
        "run_id": results.run_id,
        "models": {
            logged.name: {
                "run_id": logged.run_id,
                "version": logged.version,
                "name": settings.registered(logged.name),
            }
            for logged in results.logged
        },
        "best": {"classifier": results.best, "version": results.best_version, "aliases": results.best_aliases},
        "failed": results.failed,
    }


def _leave_word(place: str, summary: dict[str, Any]) -> None:
    """Put run.json into a local folder or one on gs://, without Spark, whose JVM has ended."""
    folder = objects.folder_or_none(place)
    if folder is None:
        raise DataError(
            f"run.json stays as it is: want a local folder or gs:// to write to without Spark, found {place}"
        )
    objects.replace(f"{folder}/run.json", json.dumps(summary, indent=2, sort_keys=True) + "\n")


def _leave_files(spark: SparkSession, settings: Settings, steps: Progress, work: Path, results: Results) -> None:
    """Put plots, figures and the log under the output, whatever became of the training."""
    storage.write_json(spark, storage.join(settings.output, "run.json"), _summary(settings, steps, results))
    storage.write_json(
        spark, storage.join(settings.output, "metrics.json"), {logged.name: logged.metrics for logged in results.logged}
    )
    whole_folders.upload(spark, work / "plots", storage.join(settings.output, "plots"))
    for file in ("test_scores.parquet", "training.log"):
        if (work / file).exists():
            whole_folders.upload(spark, work / file, storage.join(settings.output, file))
