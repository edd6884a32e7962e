"""A training on the standalone cluster that loses an executor while it fits, for test_cluster.py."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import package
import psutil
from cluster_service import Cluster

from sentiment import packing

SCRIPT = "sentiment_multimodel.py"
TWEETS = 800
EXECUTOR = "CoarseGrainedExecutorBackend"


@dataclass
class Training:
    """How it ended: its exit code, what it said, the executors that were killed, its registry."""

    code: int
    said: str
    killed: list[int]
    uri: str


def executors(cluster: Cluster) -> list[psutil.Process]:
    """The executor processes that its workers run."""
    found = []
    for worker in cluster.workers:
        for process in worker.family():
            with suppress(psutil.Error):
                if any(EXECUTOR in word for word in process.cmdline()):
                    found.append(process)
    return found


def lost_executor(cluster: Cluster, sample_csv: Path, folder: Path) -> Training:
    """A training in `folder` with two executors, one of which is killed as soon as a fit has begun."""
    packed = packing.zipped(package.CODE / "sentiment")
    script = package.self_contained(SCRIPT, (package.CODE / SCRIPT).read_text(encoding="utf-8"), packed)
    (folder / SCRIPT).write_text(script)
    rows = sample_csv.read_text(encoding="utf-8").splitlines(keepends=True)[:TWEETS]
    (folder / "tweets.csv").write_text("".join(rows), encoding="utf-8")
    env = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    return trained(cluster, folder, env)


def trained(cluster: Cluster, folder: Path, env: dict[str, str]) -> Training:
    uri = f"sqlite:///{folder}/mlflow.db"
    process = train(cluster, folder, uri, env)
    said: list[str] = []
    killed: list[int] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if line.endswith("linearsvc ...\n"):  # the features lie in the executors, a fit has begun
                victim = executors(cluster)[0]
                victim.kill()
                killed.append(victim.pid)
                assert not any(line.count("linearsvc: ") for line in said), "it was killed too late to show anything"
        return Training(process.wait(60), "".join(said), killed, uri)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def train(cluster: Cluster, folder: Path, uri: str, env: dict[str, str]) -> "subprocess.Popen[str]":
    """The self-contained training job on the cluster: two executors of one core."""
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.cores.max": "2",
        "spark.executor.memory": "600m",
        "spark.executor.extraJavaOptions": os.environ["SPARK_SUBMIT_OPTS"],  # conftest.py's, for speed
    }
    command = [str(Path(sys.executable).with_name("spark-submit")), "--master", cluster.url(), "--driver-memory", "1g"]
    command += [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    command += [SCRIPT, "--input", str(folder / "tweets.csv"), "--output", str(folder / "models")]
    command += ["--models", "linearsvc", "--mlflow-uri", uri]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
