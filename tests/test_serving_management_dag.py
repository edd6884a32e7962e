"""sentiment_serving_management reports on a stream that serves and on one that was killed; the driver is a stand-in."""

import io
import json
import shlex
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_run import Airflow
from gcs_service import Gcs
from services import ROOT
from serving_dags import CHECKPOINTS, PREDICTIONS, Place, a_server, led, registry

from sentiment import gs, objects

pytestmark = pytest.mark.dags
DRIVER = shlex.join([sys.executable, str(ROOT / "tests" / "cicd_driver.py")])
STREAM = "told-idle"
REPORTS = f"{PREDICTIONS}/reports/serving"


@pytest.fixture(scope="module")
def place(airflow: Airflow, gcs: Gcs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("management-dag")
    server = a_server(folder / "dataproc", gcs, DRIVER)
    with led(airflow, server, gcs, registry(folder, "m-told")) as made:
        yield made
    server.stop()


def leave_a_batch() -> None:
    """What a stream leaves after one batch of two rows."""
    checkpoint, output = f"{CHECKPOINTS}/{STREAM}", f"{PREDICTIONS}/predictions/{STREAM}"
    name = "date=2026-11-21/0123abcd-00000000-0.parquet"
    buffer = io.BytesIO()
    pq.write_table(pa.table({"prediction": [0.0, 1.0], "ingest_time": [datetime.now(UTC)] * 2}), buffer)
    gs.blob(f"{output}/{name}").upload_from_string(buffer.getvalue())
    manifest = {"query_id": "q", "model_name": "m-told", "model_version": "1", "rows_in": 2, "rows_out": 2}
    manifest |= {"dead_letters": 0, "seconds": {"total": 0.5}, "lag_seconds": 1.0, "positive_share": 0.5}
    objects.replace(f"{checkpoint}/settings.json", json.dumps({"--output-path": output}))
    objects.replace(f"{checkpoint}/intents/0.json", json.dumps({"created_ms": time.time() * 1000}))
    objects.replace(f"{checkpoint}/manifests/0.json", json.dumps({**manifest, "files": [f"{output}/{name}"]}))


def report(place: Place, audit: bool = False) -> dict[str, Any]:
    """Run the DAG; the report that it has stored."""
    before = set(place.blobs(REPORTS))
    found = place.manage(audit=audit)
    assert (found[""], found["report"], found["act[0]"]) == ("success", "success", "skipped")
    made = set(place.blobs(REPORTS)) - before
    (folder,) = {name.partition("/")[0] for name in made}
    assert {name.partition("/")[2] for name in made} == {"report.json", "report.md", "report.html"}
    assert "<img" in (objects.read(f"{REPORTS}/{folder}/report.html") or "")
    content: dict[str, Any] = json.loads(objects.read(f"{REPORTS}/{folder}/report.json") or "")
    return content


def test_a_stream_that_serves_is_healthy_and_one_that_was_killed_is_down(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    models = [{"model_name": "m-told", "stream": STREAM}]
    assert place.serve("m-told", serving_models=models)[""] == "success"
    leave_a_batch()
    healthy = report(place)
    (stream,) = healthy["streams"]
    assert (healthy["verdict"], stream["name"], stream["reasons"]) == ("healthy", STREAM, [])
    assert stream["figures"]["rows_last_hour"] == 2
    assert "verdict: healthy" in caplog.text
    unknown = report(place, audit=True)  # the stand-in is no audit: its job ends in ERROR
    lost = "the audit failed: whether every message is there once is not known"
    assert (unknown["verdict"], unknown["streams"][0]["reasons"]) == ("degraded", [lost])
    (job,) = place.jobs(STREAM, active=True)
    place.cancel(job)
    newest = max(place.blobs(f"{CHECKPOINTS}/{STREAM}/epochs"))
    objects.replace(f"{CHECKPOINTS}/{STREAM}/epochs/{newest}", json.dumps({"state": "released"}))
    down = report(place)
    assert down["verdict"] == "down"
    assert "its driver has ended" in str(down["streams"][0]["reasons"])
