"""A Dataproc server of a test's own, and the real clients for it."""

import os
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import grpc
from google.api_core.future.polling import DEFAULT_POLLING
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataproc_v1 as dp
from google.cloud.dataproc_v1.services.cluster_controller.transports import (
    ClusterControllerGrpcTransport,
    ClusterControllerRestTransport,
)
from google.cloud.dataproc_v1.services.job_controller.transports import (
    JobControllerGrpcTransport,
    JobControllerRestTransport,
)
from services import ROOT, free_port

PLACE = {"project_id": "sentiment-local", "region": "us-central1"}
CLUSTER = "sentiment-cluster"
STAND_IN = shlex.join([sys.executable, str(ROOT / "tests" / "dataproc_submit.py")])
State: Any = dp.JobStatus.State
TERMINAL = {State.DONE, State.ERROR, State.CANCELLED}
WAIT_SECONDS = 90.0
QUICK = DEFAULT_POLLING.with_delay(initial=0.1, maximum=0.5)
"""How often a client looks whether its operation is done; by default from once a second on."""


def wait_for(what: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
    """The first true answer of `what`."""
    until = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < until, f"not within {seconds:.0f} s"
        time.sleep(0.05)
    return answer


class Server:
    """A server process with its own folder and ports, and the cluster `sentiment-cluster`."""

    def __init__(self, folder: Path, *options: str, submit: str = STAND_IN) -> None:
        self.folder = folder
        self.grpc_port, self.rest_port = free_port(), free_port()
        self.options = ["--cluster", f"{PLACE['project_id']}/{PLACE['region']}/{CLUSTER}", *options]
        if submit:
            self.options += ["--submit-command", submit]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it and its cluster are there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), env=environment(), stdout=log, stderr=log)
        wait_for(self.is_there)

    def command(self) -> Sequence[str]:
        """What starts it."""
        ports = ["--grpc-port", str(self.grpc_port), "--rest-port", str(self.rest_port)]
        return [sys.executable, "-m", "dataproc", *ports, "--folder", str(self.folder), *self.options]

    def is_there(self) -> bool:
        """Whether it answers."""
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "server.log").read_text(encoding="utf-8")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest_port}/healthz", timeout=5) as answer:
                if answer.status != 200:
                    return False
        except OSError:
            return False
        cluster = Clients(self, "rest").clusters.get_cluster(request={**PLACE, "cluster_name": CLUSTER})
        return bool(cluster.status.state == dp.ClusterStatus.State.RUNNING)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(WAIT_SECONDS)


class Clients:
    """google-cloud-dataproc's clients over one transport: grpc or rest."""

    def __init__(self, server: Server, transport: str) -> None:
        self.transport = transport
        self.jobs: Any
        self.clusters: Any
        if transport == "grpc":
            channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
            self.jobs = dp.JobControllerClient(transport=JobControllerGrpcTransport(channel=channel))
            self.clusters = dp.ClusterControllerClient(transport=ClusterControllerGrpcTransport(channel=channel))
        else:
            where: dict[str, Any] = {
                "host": f"127.0.0.1:{server.rest_port}",
                "url_scheme": "http",
                "credentials": AnonymousCredentials(),  # type: ignore[no-untyped-call]
            }
            self.jobs = dp.JobControllerClient(transport=JobControllerRestTransport(**where))
            self.clusters = dp.ClusterControllerClient(transport=ClusterControllerRestTransport(**where))

    def submit(self, main: Path | str, request_id: str = "", **fields: Any) -> dp.Job:
        """Submit a PySpark job; `pyspark` holds more of its fields, and so does the rest of the job's."""
        pyspark = {"main_python_file_uri": str(main), **fields.pop("pyspark", {})}
        job = {"placement": {"cluster_name": CLUSTER}, "pyspark_job": pyspark, **fields}
        made: dp.Job = self.jobs.submit_job(request={**PLACE, "job": job, "request_id": request_id})
        return made

    def job(self, name: str) -> dp.Job:
        """One job."""
        found: dp.Job = self.jobs.get_job(request={**PLACE, "job_id": name})
        return found

    def ended(self, job: dp.Job) -> dp.Job:
        """The job when it is done."""

        def look() -> dp.Job | None:
            found = self.job(job.reference.job_id)
            return found if found.status.state in TERMINAL else None

        found: dp.Job = wait_for(look)
        return found

    def reached(self, job: dp.Job, state: int) -> dp.Job:
        """The job once it is in a state."""

        def look() -> dp.Job | None:
            found = self.job(job.reference.job_id)
            return found if found.status.state == state else None

        found: dp.Job = wait_for(look)
        return found


def environment() -> dict[str, str]:
    """The environment in which a server is started."""
    modules = os.pathsep.join([str(ROOT / "local"), str(ROOT / "code")])
    return {**os.environ, "PYTHONPATH": modules, "NO_GCE_CHECK": "true"}


def states(job: dp.Job) -> list[str]:
    """The names of all states that a job went through."""
    return [status.state.name for status in (*job.status_history, job.status)]


def output(job: dp.Job) -> str:
    """The driver's output of a job on a server without an object store; empty before the driver has begun."""
    path = Path(url2pathname(urlsplit(job.driver_output_resource_uri).path))
    return path.read_text(encoding="utf-8") if path.exists() else ""
