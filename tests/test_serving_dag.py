"""sentiment_model_serving: what it checks, submits, leaves alone and replaces. Only the drivers are stand-ins."""

import re
import shlex
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from airflow.sdk.exceptions import AirflowFailException
from airflow_run import Airflow
from gcs_service import Gcs
from google.cloud import dataproc_v1 as dp
from sentiment_dags import serving
from sentiment_dags.deploy import DeployStream
from sentiment_dags.settings import described, read
from sentiment_dags.variables import AwayError
from services import ROOT, free_port
from serving_dags import Place, a_server, led, registry, said

DRIVER = shlex.join([sys.executable, str(ROOT / "tests" / "cicd_driver.py")])
MODELS = ("m-one", "m-two", "m-three", "m-fails", "m-idle", "m-other")
SCRIPT = "gs://sentiment-bucket-code/code/0123456789ab/streaming_serving_mlflow_hdfs_kafka.py"
PLANS = [{"secret_job": {"pyspark_job": {"main_python_file_uri": SCRIPT}}}]
CHECKED = ("settings", "validate_mlflow", "validate_places", "resolve_models", "stage_code", "notify", "")


@pytest.fixture(scope="module")
def place(airflow: Airflow, gcs: Gcs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("serving-dag")
    server = a_server(folder / "dataproc", gcs, DRIVER)
    with led(airflow, server, gcs, registry(folder, *MODELS)) as made:
        yield made
    server.stop()


def test_test_mode_shows_the_job_and_submits_nothing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(place.blobs("gs://sentiment-bucket-code"))
    properties = {"spark.proxied": "http://user:hidden@proxy/"}  # pragma: allowlist secret
    found = place.serve("m-one", serving_deploy_mode="test", dataproc_properties=properties)
    assert {task: found.pop(task) for task in CHECKED} == dict.fromkeys(CHECKED, "success")
    assert found == {"stream.deploy[0]": "success", "stream.monitor[0]": "skipped"}
    assert place.all_jobs() == []
    assert set(place.blobs("gs://sentiment-bucket-code")) == before
    shown = said(capsys)
    assert "test mode: nothing is submitted" in shown
    pages = rendered()
    assert {*CHECKED, "stream.deploy", "stream.monitor"} == {*pages, "notify", ""}
    assert "hidden" not in str(pages)
    job = yaml.safe_load(pages["stream.deploy"]["job"])
    assert job["pyspark_job"]["properties"] == {"spark.proxied": "http://***@proxy/"}
    assert f"job_id: {job['reference']['job_id']}" in shown
    taken = dp.Job(job)
    assert taken.labels["stream"] == "m-one"
    assert taken.scheduling.max_failures_per_hour == 10


def test_code_that_has_changed_since_it_was_planned_is_not_deployed(place: Place) -> None:
    del place  # for its store
    with pytest.raises(
        AirflowFailException, match=r"^want the code of revision 0123456789ab, found \w+.*: it has changed"
    ):
        serving.stage_code(described(read({"serving_deploy_mode": "production"})), PLANS)


def test_test_mode_too_wants_the_input_of_file_streams_and_a_revision_that_is_staged(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    found = place.serve("m-one", serving_deploy_mode="test", streaming_input_bucket="no-such-bucket")
    assert (found["validate_places"], found["resolve_models"]) == ("failed", "upstream_failed")
    assert "Variable streaming_input_bucket: want a bucket that can be read, found no-such-bucket: " in said(capsys)
    with pytest.raises(AirflowFailException, match=r"^Variable code_revision: want a revision that is staged in gs://"):
        serving.stage_code(described(read({"code_revision": "0123456789ab"})), PLANS)


def rendered() -> dict[str, dict[str, Any]]:
    """What stands under Rendered Templates of the newest run, by task."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields as Fields
    from airflow.utils.session import create_session

    with create_session() as session:
        rows = session.query(Fields).filter(Fields.dag_id == "sentiment_model_serving").order_by(Fields.run_id)
        return {row.task_id: row.rendered_fields for row in rows}


@pytest.mark.dags
def test_however_often_it_is_deployed_one_job_runs_until_its_settings_change(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(5):
        assert place.serve("m-two")[""] == "success"
    (first,) = place.jobs("m-two")
    assert first.reference.job_id == f"serving-m-two-{first.labels['settings']}-1"
    assert "runs already as job" in said(capsys)
    assert place.serve("m-two", serving_batch_interval="7")[""] == "success"
    second, old = place.jobs("m-two")
    assert (old.reference, old.status.state.name) == (first.reference, "DONE")
    assert [job.reference for job in place.jobs("m-two", active=True)] == [second.reference]
    assert second.reference.job_id == f"serving-m-two-{second.labels['settings']}-2"
    shown = said(capsys)
    assert "with other settings" in shown
    assert f"job {second.reference.job_id} is RUNNING and has completed batch" in shown


@pytest.mark.dags
def test_several_models_are_served_at_once_and_one_that_fails_is_cancelled(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    once = DeployStream.execute

    def twice(self: DeployStream, context: Any) -> Any:
        """As a second try does, after one that was lost once it had submitted."""
        once(self, context)
        return once(self, context)

    monkeypatch.setattr(DeployStream, "execute", twice)
    models = ["m-three", "m-fails", {"model_name": "m-other", "stream": "s-idle", "batch_interval": 5}]
    found = place.serve("m-one", serving_models=models)
    assert found[""] == "failed"
    assert [found[f"stream.monitor[{n}]"] for n in range(3)] == ["success", "failed", "success"]
    assert found["notify"] == "success"
    shown = caplog.text
    notice = shown[shown.index("failed: stream.monitor_1") :]
    why = r"job serving-m-fails-\S+ of stream m-fails failed: (its driver failed [2-9] times|it is ERROR): "
    assert re.search(why + "--mlflow-uri: want an MLflow server or database, found none", notice)
    assert "has read all its input and waits for more" in shown
    assert [len(place.jobs(name, active=True)) for name in ("m-three", "m-fails", "s-idle")] == [1, 0, 1]
    assert f"job {place.jobs('m-fails')[0].reference.job_id} was cancelled" in shown
    words = [list(place.jobs(name)[0].pyspark_job.args) for name in ("m-three", "s-idle")]
    assert words[0][words[0].index("--checkpoint") + 1] != words[1][words[1].index("--checkpoint") + 1]


@pytest.mark.dags
def test_a_registry_that_is_away_is_named_within_a_minute_and_leaves_the_task_its_other_tries() -> None:
    away = f"http://127.0.0.1:{free_port()}"
    line = f"^Variable mlflow_tracking_uri: want an MLflow server that answers, found {away}: "
    began = time.monotonic()
    with pytest.raises(AwayError, match=line):
        serving.validate_mlflow(described(read({"mlflow_tracking_uri": away}, lambda _: None)))
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"serving_source_type": "xml"}, "serving_source_type: want file or kafka, found 'xml'"),
        ({"serving_batch_interval": "-1"}, "serving_batch_interval: want seconds, at least 0, found '-1'"),
        ({"serving_source_type": "kafka"}, "kafka_bootstrap_servers: want host:port of a broker, found nothing"),
    ],
)
def test_an_impossible_variable_fails_the_first_task(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    line: str,
) -> None:
    for name, value in {"serving_source_type": "file", **variables}.items():
        monkeypatch.setenv(f"AIRFLOW_VAR_{name.upper()}", value)
    before = len(place.all_jobs())
    found = place.serve("m-one", serving_source_type="")
    assert (found["settings"], found["validate_mlflow"], found["resolve_models"]) == (
        "failed",
        "upstream_failed",
        "upstream_failed",
    )
    assert f"Variable {line}" in said(capsys)
    assert len(place.all_jobs()) == before


@pytest.mark.dags
@pytest.mark.parametrize(
    ("conf", "line"),
    [
        ({"serving_model_name": "nobody"}, "stream nobody: want the registered model nobody, found: "),
        ({"serving_model_stage": "Staging"}, "want model m-one to have the alias challenger, found champion"),
        ({"cluster_name": "elsewhere"}, "cluster_name: want a running cluster in us-central1, found elsewhere: none"),
    ],
)
def test_what_is_not_there_is_one_line(
    place: Place, capsys: pytest.CaptureFixture[str], conf: dict[str, str], line: str
) -> None:
    found = place.serve("m-one", **conf)
    assert (found["resolve_models"] in ("failed", "upstream_failed"), found[""]) == (True, "failed")
    assert line in said(capsys)


@pytest.mark.dags
def test_a_stream_is_restarted_with_its_settings_and_drained(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.serve("m-idle", serving_models=[{"model_name": "m-idle", "stream": "s-life"}])[""] == "success"
    (first,) = place.jobs("s-life")
    found = place.manage(action="restart", stream="s-life")
    assert (found[""], found["act[0]"], found["report"]) == ("success", "success", "skipped")
    second, old = place.jobs("s-life")
    assert (old.reference, old.status.state.name) == (first.reference, "DONE")
    assert (second.labels, second.pyspark_job) == (first.labels, first.pyspark_job)
    assert second.scheduling == first.scheduling
    place.cancel(second)
    assert place.manage(action="restart", stream="s-life")[""] == "success"
    third = place.jobs("s-life")[0]
    assert (third.status.state.name, third.labels) == ("RUNNING", first.labels)
    assert place.manage(action="drain", stream="s-life")[""] == "success"
    assert place.jobs("s-life")[0].status.state.name == "DONE"
    assert f"job {third.reference.job_id} is DONE" in said(capsys)
    found = place.manage(action="drain", stream="s-life")
    assert found[""] == "success"
    assert "stream s-life: no job runs" in said(capsys)
    assert place.manage(stream="a b")["settings"] == "failed"
    assert "Param stream: want a stream's name (of a-z, 0-9, _ and -), found 'a b'" in said(capsys)
    assert place.manage(stream="nobody")[""] == "failed"
    assert "Param stream: want a stream that was deployed, found no serving job of 'nobody'" in said(capsys)
