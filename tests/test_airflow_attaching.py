"""One job per run, whatever happens to the tries of a task: the DAGs' own operators against the Dataproc server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.sdk._shared.secrets_masker import redact
from airflow_run import CONNECTION, Airflow, google_connection
from dataproc_server import CLUSTER, PLACE, Clients, Server
from gcs_service import Gcs
from google.cloud import dataproc_v1 as dp
from sentiment_dags.operators import AttachingSubmitJobOperator, ClusterOperator
from services import ROOT


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A driver that ends well."""
    path = tmp_path / "main.py"
    path.write_text("print('ran')", encoding="utf-8")
    return path


def jobs(airflow: Airflow, base: str) -> list[dp.Job]:
    """The jobs of a run, by id."""
    listed = Clients(airflow.server, "grpc").jobs.list_jobs(request=PLACE)
    found = [job for job in listed if job.reference.job_id.rpartition("-")[0] == base]
    return sorted(found, key=lambda job: job.reference.job_id)


def submit(airflow: Airflow, job_id: str, main: Path) -> str:
    """Run the DAG; the state of the task that submits."""
    return airflow.run("attaching", {"job_id": job_id, "main": str(main), "cluster": CLUSTER})["submit"]


def test_a_second_try_takes_the_job_that_is_done(airflow: Airflow, main: Path) -> None:
    assert [submit(airflow, "done", main) for _ in range(3)] == ["success"] * 3
    assert [job.reference.job_id for job in jobs(airflow, "done")] == ["done-1"]


def test_a_try_waits_for_the_job_that_another_one_submitted(airflow: Airflow, tmp_path: Path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(3)", encoding="utf-8")
    clients = Clients(airflow.server, "grpc")
    clients.submit(slow, "another-request", reference={"job_id": "slow-1"})
    assert submit(airflow, "slow", slow) == "success"
    (job,) = jobs(airflow, "slow")
    assert job.status.state.name == "DONE"


def test_only_behind_a_job_that_failed_does_the_number_rise(airflow: Airflow, tmp_path: Path) -> None:
    driver, fixed = tmp_path / "driver.py", tmp_path / "fixed"
    driver.write_text(f"import os, sys; sys.exit(not os.path.exists({str(fixed)!r}))", encoding="utf-8")
    assert submit(airflow, "twice", driver) == "failed"
    fixed.touch()
    assert submit(airflow, "twice", driver) == "success"
    assert submit(airflow, "twice", driver) == "success"
    found = [(job.reference.job_id, job.status.state.name) for job in jobs(airflow, "twice")]
    assert found == [("twice-1", "ERROR"), ("twice-2", "DONE")]


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.dags)])
def test_a_task_killed_while_it_submits_leaves_one_job(airflow: Airflow, main: Path, kills: int) -> None:
    base = f"killed-{kills}"
    script = [sys.executable, str(ROOT / "tests" / "submit_and_die.py"), base, str(main), CLUSTER, str(kills)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=300, check=False, env=environment())
    assert done.returncode == 0, done.stderr[-3000:]
    *ends, last = [line.removeprefix("try: ") for line in done.stdout.splitlines() if line.startswith("try: ")]
    assert last == f"{base}-1"
    assert (len(ends), ends[0]) == (kills, "killed")
    assert [job.reference.job_id for job in jobs(airflow, base)] == [f"{base}-1"]


def environment() -> dict[str, str]:
    """This run's Airflow, and the modules of its DAGs."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "airflow" / "dags")}


def there(airflow: Airflow) -> set[str]:
    """The names of the clusters there are."""
    return {found.cluster_name for found in Clients(airflow.server, "grpc").clusters.list_clusters(request=PLACE)}


def test_a_cluster_is_made_for_the_run_or_taken_as_it_is(airflow: Airflow, main: Path, tmp_path: Path) -> None:
    before, broken = there(airflow), tmp_path / "broken.py"  # other files' tests may have made some
    broken.write_text("raise ValueError('no such column')", encoding="utf-8")
    conf = {"job_id": "own", "main": str(broken), "cluster": "own-cluster", "create": "yes"}
    assert airflow.run("attaching", conf) == {
        "": "failed",
        "due": "success",
        "create": "success",
        "submit": "failed",
        "delete": "success",
    }
    assert there(airflow) == before
    assert airflow.run("attaching", conf)["create"] == "success"  # as when the tasks of a run are cleared
    assert submit(airflow, "named", main) == "success"
    assert there(airflow) == before
    states = airflow.run("attaching", {**conf, "create": "", "job_id": "none"})
    assert (states[""], states["create"], states["submit"], states["delete"]) == (
        *("failed", "failed", "upstream_failed", "success"),
    )
    assert jobs(airflow, "none") == []


def test_a_cluster_whose_making_was_cut_off_is_deleted(
    airflow: Airflow, main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise ConnectionError("the worker has lost the network")

    before = there(airflow)
    with monkeypatch.context() as patch:
        patch.setattr(ClusterOperator, "_get_cluster", lost)
        states = airflow.run("attaching", {"job_id": "half", "main": str(main), "cluster": "half", "create": "yes"})
    assert (states["create"], states["delete"], there(airflow)) == ("failed", "success", before)


def test_passwords_in_a_job_s_arguments_are_hidden_in_what_airflow_shows() -> None:
    words = ["--mlflow-uri", "https://user:so-hidden@mlflow:5000"]  # pragma: allowlist secret
    job = {"pyspark_job": {"args": words}}
    operator = AttachingSubmitJobOperator(task_id="t", job=job, region="r", project_id="p")
    operator.render_template_fields({})
    assert redact(operator.job) == {"pyspark_job": {"args": ["--mlflow-uri", "https://user:***@mlflow:5000"]}}


@pytest.fixture
def with_store(gcs: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A Dataproc server whose drivers' output goes to the object store."""
    server = Server(
        tmp_path / "dataproc", "--storage-endpoint", gcs.address(), "--staging-bucket", "sentiment-bucket-staging"
    )
    server.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address())
    monkeypatch.setenv(CONNECTION, google_connection(f"127.0.0.1:{server.grpc_port}"))
    yield server
    server.stop()


def test_a_job_that_fails_leaves_its_driver_s_last_lines_in_the_log(
    airflow: Airflow, with_store: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = tmp_path / "driver.py"
    noise = "print('26/11/21 21:41:21 INFO SparkContext: chatter')"
    driver.write_text(f"{noise}\nprint('rows: 17')\nraise SystemExit('train.py: error: no rows')", encoding="utf-8")
    assert submit(airflow, "lines", driver) == "failed"
    out = capsys.readouterr().out
    assert "driver: rows: 17" in out
    assert "driver: train.py: error: no rows" in out
    assert "driver: 26/11/21" not in out
    assert with_store.is_there()
