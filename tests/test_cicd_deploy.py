"""Jobs by the scripts of ci-cd/ and the real gcloud; only the drivers are stand-ins (cicd_driver.py), to be quick.

A deploy waits more than it works: those that have nothing to do with each other are begun at once (`begun`).
"""

import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import package
import pytest
from buckets import Store
from cicd_scripts import Scripts, ended, local
from dataproc_server import PLACE, Clients, Server
from gcs_service import Gcs
from google.cloud import dataproc_v1 as dp
from services import ROOT

ACTIVE = dp.ListJobsRequest.JobStateMatcher.ACTIVE
DENIED = "PERMISSION_DENIED: Permission denied on 'locations/"
DRIVER = shlex.join([sys.executable, str(ROOT / "tests" / "cicd_driver.py")])

TRAIN = ["train-model.sh", "--input", "gs://sentiment-bucket-code/"]
DEPLOY = ["deploy-serving.sh", "--stream", "absent"]


@pytest.fixture(scope="module")
def server(gcs: Gcs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("dataproc")
    options = ["--storage-endpoint", gcs.address(), "--staging-bucket", "sentiment-bucket-staging"]
    made = Server(folder, *options, submit=DRIVER)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def scripts(gcs: Gcs, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Scripts:
    return local(tmp_path_factory.mktemp("clients"), gcs, server)


def jobs(server: Server, stream: str, active: bool = False) -> list[dp.Job]:
    """The serving jobs of a stream, the newest first."""
    matcher = {"job_state_matcher": ACTIVE} if active else {}
    listed = Clients(server, "grpc").jobs.list_jobs(request={**PLACE, **matcher})
    return [job for job in listed if job.labels.get("stream") == stream]


def deploy(*words: str) -> list[str]:
    return ["deploy-serving.sh", "--timeout", "180", *words]


def train(classifier: str) -> list[str]:
    return [*TRAIN, "--", "--models", classifier]


SCRIPTS = {
    "s-idle": deploy("--stream", "s-idle"),
    "s-fails": deploy("--stream", "s-fails"),
    "s-stuck": deploy("--stream", "s-stuck", "--timeout", "20"),  # long enough to look idle
    "a training that fails": train("gbt"),
    "a training": train("logisticregression"),
}


@pytest.fixture(scope="module")
def begun(scripts: Scripts) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """The SCRIPTS, under way."""
    processes = {name: scripts.start(*words) for name, words in SCRIPTS.items()}
    yield processes
    for process in processes.values():
        if process.poll() is None:
            process.kill()
            process.communicate()


class Gate:
    """A gcloud that waits before one kind of call until the gate is opened."""

    def __init__(self, folder: Path, words: str) -> None:
        folder.mkdir()
        self.reached, self.opened = folder / "reached", folder / "opened"
        waiting = (
            f"touch {self.reached}; n=0; until [ -e {self.opened} ] || [ $n = 1800 ]; do sleep 0.1; n=$((n + 1)); done"
        )
        gcloud = folder / "gcloud"
        gcloud.write_text(f'#!/bin/sh\ncase " $* " in {words}) {waiting} ;; esac\nexec {shutil.which("gcloud")} "$@"\n')
        gcloud.chmod(0o755)
        self.path = f"{folder}:{os.environ['PATH']}"

    def wait(self) -> None:
        """Until somebody stands before it."""
        until = time.monotonic() + 120
        while not self.reached.exists():
            assert time.monotonic() < until, f"nobody came to {self.reached}"
            time.sleep(0.1)


@pytest.mark.usefixtures("begun")
def test_a_stream_is_deployed_once_and_replaced_when_it_is_drained(
    scripts: Scripts, server: Server, tmp_path: Path
) -> None:
    code, out, err = scripts.run(*deploy("--stream", "once"))
    assert (code, err) == (0, "")
    assert "stream once is healthy after" in out
    assert "has completed batch 0, 5 rows in, scored by version 1" in out
    (first,) = jobs(server, "once", active=True)
    assert first.labels["suite"] == "sentiment"
    assert first.labels["job"] == "serving"
    assert first.reference.job_id == f"serving-once-{first.labels['settings']}-1"
    staged = f"gs://sentiment-bucket-code/code/{first.labels['revision']}/"
    assert first.pyspark_job.main_python_file_uri == f"{staged}streaming_serving_mlflow_hdfs_kafka.py"
    assert first.scheduling.max_failures_per_hour == 10

    code, out, err = scripts.run(*deploy("--stream", "once"))
    assert (code, err) == (0, "")
    assert f"stream once is already running as job {first.reference.job_id} (RUNNING)" in out
    assert "stream once is healthy after" in out

    changed = deploy("--stream", "once", "--drain", "--", "--batch-interval-seconds", "7")
    code, out, err = scripts.run(*[word for word in changed if word != "--drain"])
    assert code == 1
    assert err == (
        f"deploy-serving: stream once runs as job {first.reference.job_id} with other settings: "
        "want --drain to replace it, found none\n"
    )
    assert [job.reference.job_id for job in jobs(server, "once")] == [first.reference.job_id]

    # Three at once: one submits, before another has listed the stream's jobs, and after a third has.
    gates = [Gate(tmp_path / "list", '*" jobs list "*--filter=labels*'), Gate(tmp_path / "submit", '*" jobs submit "*')]
    late = [scripts.start(*changed, PATH=gate.path) for gate in gates]
    for gate in gates:
        gate.wait()
    code, out, err = scripts.run(*changed)
    assert (code, err) == (0, "")
    assert "stream once is healthy after" in out
    for gate, process in zip(gates, late, strict=True):
        gate.opened.touch()
        code, out, err = ended(process)
        assert (code, err) == (0, "")
        assert out.splitlines()[-2].endswith("-2 (RUNNING): another deploy was first")
        assert "stream once is healthy after" in out.splitlines()[-1]
    second, old = jobs(server, "once")
    assert old.status.state.name == "DONE"
    assert old.reference == first.reference
    assert [job.reference.job_id for job in jobs(server, "once", active=True)] == [second.reference.job_id]
    assert second.reference.job_id == f"serving-once-{second.labels['settings']}-2"
    assert second.labels["settings"] != first.labels["settings"]


def test_a_job_that_does_not_serve_or_is_about_to_end_is_no_running_stream(scripts: Scripts, server: Server) -> None:
    # What a deploy would submit: its labels, and its arguments for the driver.
    _, out, _ = scripts.run(*deploy("--stream", "o-late", "--dry-run"))
    words = shlex.split(out.splitlines()[-1])
    labels = dict(label.split("=") for word in words if word.startswith("--labels=") for label in word[9:].split(","))
    script = ROOT / "code" / "streaming_serving_mlflow_hdfs_kafka.py"
    clients = Clients(server, "grpc")
    old = clients.submit(script, pyspark={"args": words[words.index("--") + 1 :]}, labels=labels)
    code, out, err = scripts.run("deploy-serving.sh", "--stream", "o-late", "--timeout", "4")
    assert code == 1
    assert f"stream o-late is already running as job {old.reference.job_id}" in out
    assert err.splitlines()[-1].endswith(
        "no batch is complete after 4 s; another deploy has submitted it, and it is left as it is"
    )
    clients.reached(old, dp.JobStatus.State.RUNNING)
    clients.jobs.cancel_job(request={**PLACE, "job_id": old.reference.job_id})
    code, out, err = scripts.run(*deploy("--stream", "o-late"))
    assert (code, err) == (0, "")
    assert f"job {old.reference.job_id} (CANCEL_STARTED) was told to end: its end is waited for" in out
    assert "stream o-late is healthy after" in out
    new, before = jobs(server, "o-late")
    assert (before.status.state.name, new.status.state.name) == ("CANCELLED", "RUNNING")


@pytest.mark.parametrize(("since", "code"), [("2020-01-01T00:00:00.5Z", 0), ("2999-01-01T00:00:00.5Z", 1)])
def test_a_drain_that_was_asked_for_since_the_job_was_submitted_is_its_end(
    scripts: Scripts, gcs: Gcs, since: str, code: int
) -> None:
    with Store(gcs.port) as store:
        store.write("sentiment-bucket-checkpoint", "drained/control/drain", b"{}")
    state = f"running_state=RUNNING running_since={since} checkpoint=gs://sentiment-bucket-checkpoint/drained"
    shell = f"NAME=t; . ci-cd/lib.sh; . ci-cd/stream.sh; load_settings; {state}; is_ending"
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **scripts.variables}
    assert subprocess.run(["bash", "-c", shell], env=env, cwd=ROOT, check=False).returncode == code


def test_of_two_deploys_at_once_with_different_settings_one_stream_is_left(scripts: Scripts, server: Server) -> None:
    several = [scripts.start(*deploy("--stream", "race", "--", "--batch-interval-seconds", str(n))) for n in (1, 2)]
    results = [ended(process) for process in several]
    left = jobs(server, "race", active=True)
    assert len(left) == 1, results
    assert sorted(code for code, _, _ in results) == [0, 1], results
    (lost,) = [err for code, _, err in results if code == 1]
    assert left[0].reference.job_id in lost


@pytest.mark.parametrize(
    ("stream", "code", "line"),
    [
        ("s-idle", 0, "has read all its input and waits for more"),
        ("s-fails", 1, ": --mlflow-uri: want an MLflow server or database, found none"),
        ("s-stuck", 1, "no batch is complete after 20 s, and it was cancelled"),
    ],
)
def test_only_a_stream_that_serves_is_left_running(
    begun: dict[str, subprocess.Popen[str]], server: Server, stream: str, code: int, line: str
) -> None:
    found, out, err = ended(begun[stream])
    assert found == code, err
    assert line in (err if code else out).splitlines()[-1]
    assert "chatter" not in err
    assert len(jobs(server, stream, active=True)) == (0 if code else 1)


def test_a_training_is_waited_for_and_its_run_named(
    begun: dict[str, subprocess.Popen[str]], server: Server, gcs: Gcs
) -> None:
    code, out, err = ended(begun["a training that fails"])
    assert code == 1
    assert err.splitlines()[-1].endswith("is ERROR: --input: want tweets, found none")
    assert "chatter" not in out + err
    code, out, err = ended(begun["a training"])
    assert (code, err) == (0, "")
    assert out.splitlines()[-2].endswith("is DONE: tiny-best version 7, logisticregression (challenger)")
    assert out.splitlines()[-1] == "train-model: MLflow: http://127.0.0.1:1/#/experiments/3/runs/abc"
    listed = Clients(server, "grpc").jobs.list_jobs(request=PLACE)
    (revision,) = {job.labels["revision"] for job in listed if job.labels.get("job") == "training"}
    with Store(gcs.port) as store:
        names = [found["name"] for found in store.objects("sentiment-bucket-code")]
    there = {name.rpartition("/")[2] for name in names if name.startswith(f"code/{revision}/")}
    assert there == set(package.staged(ROOT))  # all that DAGs without a checkout look for


@pytest.mark.parametrize(
    ("script", "setting", "value", "words"),
    [
        (DEPLOY, "CODE_BUCKET", "nowhere", "want CODE_BUCKET to name a bucket that can be read, found gs://nowhere: "),
        (TRAIN, "CLUSTER", "nowhere", "want CLUSTER to name a running cluster in us-central1, found nowhere nowhere"),
        (DEPLOY, "REGION", "asia-east1", "want CLUSTER to name a running cluster in asia-east1, found sentiment-"),
        (DEPLOY, "REGION", "us-nowhere1", f"in REGION us-nowhere1 of sentiment-local, found: {DENIED}us-nowhere1'"),
        (TRAIN, "REGION", "Atlantis", f"in REGION Atlantis of sentiment-local, found: {DENIED}Atlantis'"),
    ],
)
def test_what_is_not_there_is_one_line_and_nothing_is_done(
    scripts: Scripts, server: Server, script: list[str], setting: str, value: str, words: str
) -> None:
    before = len(list(Clients(server, "grpc").jobs.list_jobs(request=PLACE)))
    code, out, err = scripts.run(*script, **{setting: value})
    assert (code, out, len(err.splitlines())) == (1, "", 1), err
    assert words in err
    assert len(list(Clients(server, "grpc").jobs.list_jobs(request=PLACE))) == before


def test_arguments_that_the_job_does_not_take_leave_the_running_stream_alone(scripts: Scripts, server: Server) -> None:
    words = deploy("--stream", "arguments", "--drain", "--", "--batch-interval-seconds", "often")
    code, _, err = scripts.run(*words)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "argument --batch-interval-seconds: want a whole number from 0 to 2147483647, got 'often'" in err
    assert not jobs(server, "arguments")


def test_missing_rights_are_one_line(scripts: Scripts) -> None:
    """A store that answers as Google's does to a caller without rights."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            message = "nobody does not have storage.objects.list access to the Google Cloud Storage bucket."
            body = f'{{"error": {{"code": 403, "message": "{message}"}}}}'.encode()
            self.send_response(403)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    refusing = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=refusing.serve_forever, daemon=True).start()
    try:
        place = f"http://127.0.0.1:{refusing.server_port}/storage/v1/"
        code, out, err = scripts.run("deploy-serving.sh", CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE=place)
    finally:
        refusing.shutdown()
    assert (code, out, len(err.splitlines())) == (1, "", 1), err
    assert "want CODE_BUCKET to name a bucket that can be read, found gs://sentiment-bucket-code: " in err
    assert "does not have storage.objects.list access" in err
