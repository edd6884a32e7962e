"""A stream's whole life by the DAGs, with the real spark-submit: deployed, reported on, killed, restarted, drained."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow_run import Airflow
from chaos.zoo import NAME, Zoo
from dataproc_server import wait_for
from gcs_service import Gcs
from serving_dags import CHECKPOINTS, PREDICTIONS, Place, a_server, led, said

from sentiment import objects

pytestmark = pytest.mark.dags
INPUT = f"gs://sentiment-bucket-streaming-input/{NAME}"
REPORTS = f"{PREDICTIONS}/reports/serving"
SECONDS = 240
ROWS = 30


@pytest.fixture(scope="module")
def place(airflow: Airflow, gcs: Gcs, zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    zoo.set_champion("1")
    server = a_server(tmp_path_factory.mktemp("dataproc"), gcs, "")
    with led(airflow, server, gcs, zoo.uri) as made:
        yield made
    server.stop()


def write(name: str) -> None:
    """ROWS tweets for the stream."""
    rows = [f'"4","{n}","","NO_QUERY","ann","I love this {name} {n}"' for n in range(ROWS)]
    objects.replace(f"{INPUT}/{name}.csv", "\n".join(rows) + "\n", "text/csv")


def report(place: Place, **conf: Any) -> dict[str, Any]:
    """Run the management DAG; the report that it has stored."""
    before = {name for name in place.blobs(REPORTS) if name.endswith("report.json")}
    found = place.manage(timeout_seconds=SECONDS, **conf)
    assert found[""] == "success", found
    (made,) = {name for name in place.blobs(REPORTS) if name.endswith("report.json")} - before
    folder = f"{REPORTS}/{made.rpartition('/')[0]}"
    assert "<img" in (objects.read(f"{folder}/report.html") or "")
    assert "verdict" in (objects.read(f"{folder}/report.md") or "").lower()
    content: dict[str, Any] = json.loads(objects.read(f"{folder}/report.json") or "")
    return content


def test_the_life_of_a_stream(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    conf: dict[str, Any] = {"serving_batch_interval": 1, "timeout_seconds": SECONDS}
    write("first")
    assert place.serve(NAME, **conf)[""] == "success"
    assert f"{ROWS} rows in, scored by version 1" in said(capsys)
    (job,) = place.jobs(NAME, active=True)
    assert place.serve(NAME, **conf)[""] == "success"
    assert [each.reference for each in place.jobs(NAME)] == [job.reference]

    healthy = report(place)
    (stream,) = healthy["streams"]
    assert (healthy["verdict"], stream["name"], stream["audit_gaps"]) == ("healthy", NAME, [])
    assert (stream["figures"]["rows_last_hour"], stream["figures"]["models"]) == (ROWS, [f"{NAME} 1"])

    place.cancel(job)
    down = report(place, audit=False)
    assert down["verdict"] == "down" or "lease" in json.dumps(down["streams"][0]["reasons"])

    write("second")
    found = place.manage(action="restart", stream=NAME, timeout_seconds=SECONDS)
    assert (found[""], found["act[0]"], found["report"]) == ("success", "success", "skipped")
    again, _ = place.jobs(NAME)
    assert again.labels == job.labels
    assert list(again.pyspark_job.args) == list(job.pyspark_job.args)
    manifests = f"{CHECKPOINTS}/{NAME}/manifests"
    wait_for(lambda: {"0.json", "1.json"} <= set(place.blobs(manifests)), SECONDS)

    changed = {**conf, "serving_reload_interval": 60}
    assert place.serve(NAME, **changed)[""] == "success"
    third, drained, killed = place.jobs(NAME)
    assert [each.status.state.name for each in (third, drained, killed)] == ["RUNNING", "DONE", "CANCELLED"]
    assert third.labels["settings"] != drained.labels["settings"]

    found = place.manage(action="drain", stream=NAME, timeout_seconds=SECONDS)
    assert (found[""], found["act[0]"]) == ("success", "success")
    assert [each.status.state.name for each in place.jobs(NAME)] == ["DONE", "DONE", "CANCELLED"]
    rows = [json.loads(objects.read(f"{manifests}/{n}.json") or "")["rows_out"] for n in (0, 1)]
    assert rows == [ROWS, ROWS]
