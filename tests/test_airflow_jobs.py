"""The jobs that DAGs submit: taken by Dataproc's own message and by each script's own parser."""

import argparse
import dataclasses
import json
import re
import runpy
import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import drift_report
import pytest
import sentiment_multimodel
import streaming_serving_mlflow_hdfs_kafka as serving_script
from google.cloud import dataproc_v1 as dp
from sentiment_dags import deploy, jobs, serving_jobs
from sentiment_dags.settings import Settings, read
from sentiment_dags.streams import streams
from sentiment_dags.variables import SettingsError
from services import ROOT

from sentiment import objects
from sentiment.serving import cli

PLACES = {"mlflow_tracking_uri": "http://mlflow:5000", "kafka_bootstrap_servers": "b:1", "project_id": "p"}
ROWS, GATE = '["--max-rows", "500"]', '["--min-accuracy", "0.9"]'
Parse = Callable[[list[str]], argparse.Namespace]


def settings(**variables: Any) -> Settings:
    return read({}, {**PLACES, **variables}.get)


def parser_of(path: str) -> Parse:
    parse: Parse = runpy.run_path(str(ROOT / path))["parse_args"]
    return parse


@pytest.mark.parametrize("ledger", ["", "gs://b/ledger"])
def test_the_training_script_takes_its_arguments(ledger: str) -> None:
    found = settings(ledger_uri=ledger, training_models="gbt", training_args=ROWS, gate_args=GATE)
    args = sentiment_multimodel.parse_args(jobs.training_arguments(found, "gs://m/run"))
    assert (args.input, args.output) == ("gs://sentiment-bucket-data/data_raw/sentiment140", "gs://m/run")
    assert (args.mlflow_uri, args.models, args.max_rows) == ("http://mlflow:5000", ["gbt"], 500)
    assert args.ledger == (ledger or None)
    gate = parser_of("ci-cd/promote-model.py")(jobs.gate_arguments(found, "3", "gs://m/run"))
    assert (gate.model_version, gate.min_accuracy, gate.verdict) == (3, 0.9, "gs://m/run-gate/verdict.json")
    assert gate.validation_data is None  # the version's run says where it is
    assert (gate.model_name, gate.ledger) == ("twitter-sentiment-model-best", ledger or None)


@pytest.mark.parametrize("source", ["kafka", "file"])
@pytest.mark.parametrize("variables", [{}, {"serving_model_alias": "blue"}, {"serving_model_stage": "Staging"}])
def test_the_serving_script_takes_its_arguments(source: str, variables: dict[str, str]) -> None:
    found = settings(serving_source_type=source, serving_batch_interval="0", serving_reload_interval="5", **variables)
    (stream,) = streams(found)
    stream_of_the_script = cli.settings(serving_script.parse_args(jobs.serving_arguments(found, stream)))
    alias = {"": "champion", "blue": "blue", "Staging": "challenger"}[next(iter(variables.values()), "")]
    assert stream_of_the_script.model.alias == alias
    assert (stream_of_the_script.interval_seconds, stream_of_the_script.reload_seconds) == (0, 5)
    assert stream_of_the_script.checkpoint == stream.checkpoint(found)
    assert stream_of_the_script.sinks.topic == ("sentiment-predictions" if source == "kafka" else "")


def test_the_defaults_of_the_variables_are_those_of_the_script() -> None:
    words = jobs.serving_arguments(settings(), *streams(settings()))
    given = {word for word in words if word.startswith("--")}
    assert given.isdisjoint({"--model-stage", "--batch-interval-seconds", "--reload-interval-seconds"})
    args = serving_script.parse_args(words)
    (stream,) = streams(settings())
    assert args.batch_interval_seconds == stream.batch_interval
    assert args.reload_interval_seconds == stream.reload_interval
    assert cli.settings(args).model.alias == "champion"


def test_the_drift_script_takes_its_arguments() -> None:
    found = settings(drift_psi_threshold="0.25", drift_windows="5", drift_min_windows="2")
    words = jobs.drift_arguments(found, streams(found)[0], "gs://r/drift", "2026-11-21T00:00:00Z")
    args = drift_report.parse_args(words)
    assert (args.windows, args.min_windows, args.psi_threshold, args.output) == (5, 2, 0.25, "gs://r/drift")
    assert (args.window_hours, args.min_rows, f"{args.until:%F %T %Z}") == (24, 500, "2026-11-21 00:00:00 UTC")


def test_a_serving_job_is_restartable_and_found_by_its_labels() -> None:
    found = settings(dataproc_properties='{"spark.executor.memory": "2g"}')
    (stream,) = streams(found)
    made = jobs.serving_job(found, stream, "0123456789ab", "1")
    taken = dp.Job(made)  # refuses a field that the service does not know
    hashed = taken.labels["settings"]
    assert taken.reference.job_id == f"serving-twitter-sentiment-model-best-{hashed}-1"
    assert dict(taken.labels) == {
        **{"suite": "sentiment", "job": "serving", "stream": "twitter-sentiment-model-best"},
        **{"revision": "0123456789ab", "settings": hashed},
    }
    assert taken.scheduling.max_failures_per_hour == 10
    assert dict(taken.pyspark_job.properties) == {"spark.executor.memory": "2g"}
    script = "gs://sentiment-bucket-code/code/0123456789ab/streaming_serving_mlflow_hdfs_kafka.py"
    assert taken.pyspark_job.main_python_file_uri == script


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({}, ""),
        ({"serving_batch_interval": "5"}, "other settings"),
        ({"dataproc_properties": '{"spark.executor.memory": "2g"}'}, "other settings"),
        ({"cluster_name": "mine"}, r"another cluster \(sentiment-cluster, now mine\)"),
    ],
)
def test_a_stream_is_left_alone_only_by_a_deploy_that_changes_nothing(changed: dict[str, str], differs: str) -> None:
    running, wanted = (
        jobs.serving_job(found, streams(found)[0], "0123456789ab", "1") for found in (settings(), settings(**changed))
    )
    assert serving_jobs.is_as(dp.Job(running), wanted) == (not differs)
    assert re.fullmatch(differs or r"other code \(.*\)", deploy.difference(dp.Job(running), wanted))


def test_a_training_job_is_not_restarted() -> None:
    found = settings()
    made = dp.Job(jobs.job(found, jobs.TRAINING, jobs.training_arguments(found, "gs://m/r"), "0" * 12, "training-1"))
    assert (made.placement.cluster_name, made.reference.project_id) == ("sentiment-cluster", "p")
    assert made.labels["job"] == "training"
    assert not made.scheduling


@pytest.mark.parametrize(
    ("of_gcloud", "properties"),
    [
        ("", {}),
        ("spark.a=1,spark.a.b=two words", {"spark.a.b": "two words", "spark.a": "1"}),
        ("^;^spark.jars=a,b;spark.a=ü", {"spark.jars": "a,b", "spark.a": "ü"}),
    ],
)
def test_a_job_s_settings_have_the_label_that_the_shell_scripts_give_them(
    of_gcloud: str, properties: dict[str, str]
) -> None:
    found = settings(dataproc_properties=json.dumps(properties))
    (stream,) = streams(found)
    made = jobs.serving_job(found, stream, "0" * 12, "1")
    shell = 'NAME=t; . ci-cd/lib.sh; . ci-cd/jobs.sh; { printf "%s\\n" "${@:2}"; list_properties "$1"; } | digest'
    command = ["bash", "-euc", shell, "digest", of_gcloud, *jobs.serving_arguments(found, stream)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"{made['labels']['settings']}\n"


@pytest.mark.parametrize("broker", ["", "b:1"])
def test_the_audit_takes_its_arguments(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP", raising=False)
    args = parser_of("code/audit_predictions.py")(jobs.audit_arguments("gs://c/s", "gs://p/s", "gs://p/a.json", broker))
    assert (args.checkpoint, args.output_path, args.report) == ("gs://c/s", "gs://p/s", "gs://p/a.json")
    assert args.kafka_bootstrap == broker


def test_a_shown_job_holds_no_part_of_a_password() -> None:
    uris = ["http://joe:se@cret@host/x", "http://host/x?token=cret&a=b"]  # pragma: allowlist secret
    shown = deploy.rendered({"args": ["--mlflow-uri", *uris]})
    assert "http://***@host/x" in shown
    assert "http://host/x?token=***&a=b" in shown
    assert "cret" not in shown


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({}, ""),
        (
            {"kafka_output_topic": "new"},
            "stream s: --kafka-output-topic: the checkpoint gs://sentiment-bucket-checkpoint/checkpoint/s was written "
            "with sentiment-predictions, now it is new; want the same, or a new --checkpoint",
        ),
        (
            {"serving_batch_interval": "99999999999"},
            "stream s: argument --batch-interval-seconds: want a whole number from 0 to 2147483647, got '99999999999'",
        ),
    ],
)
@pytest.mark.parametrize("mode", ["test", "production"])
def test_a_job_that_would_not_take_up_its_checkpoint_is_told_and_nothing_is_drained(
    monkeypatch: pytest.MonkeyPatch, mode: str, changed: dict[str, str], complaint: str
) -> None:
    known, found = (
        settings(serving_models='[{"model_name": "m", "stream": "s"}]', serving_deploy_mode=mode, **each)
        for each in ({}, changed)
    )
    (was,) = streams(known)
    begun_with = cli.settings(serving_script.parse_args(jobs.serving_arguments(known, was))).identity()
    place = was.checkpoint(known)
    monkeypatch.setattr(objects, "read", {f"{place}/settings.json": json.dumps(begun_with)}.get)
    done = list[str]()

    def acts(_: Any, job: dict[str, Any], *__: Any) -> tuple[str, str]:
        done.append(job["labels"]["stream"])
        return "a-job", "submitted"

    monkeypatch.setattr(deploy, "at_work", lambda _: nullcontext((found, None)))
    monkeypatch.setattr(deploy, "show", acts)
    monkeypatch.setattr(deploy, "deploy", acts)
    (now,) = streams(found)
    plan = deploy.Plan("s", "m", "1", place, jobs.serving_job(found, now, "0123456789ab", "1"))
    task = deploy.DeployStream(task_id="deploy", settings={}, plan=dataclasses.asdict(plan))
    context = {"run_id": "r", "params": {"timeout_seconds": 1}}
    if not complaint:
        task.execute(context)
        assert done == ["s"]
        return
    with pytest.raises(SettingsError, match=f"^{re.escape(complaint)}$"):
        task.execute(context)
    assert done == []
