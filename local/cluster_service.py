"""The Spark standalone cluster as one of the services: one master, two workers, executors that are real processes."""

import importlib.util
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import settings
from daemons import Daemon
from services import open_local
from supervisor import Service

WANTED = "cluster"
"""What spark_master under [dataproc] says where jobs run on this cluster."""

VARIABLE = "SPARK_MASTER_URL"
WORKERS = 2
# A port that was free a moment ago is taken or not: never another one. Nobody submits over HTTP.
DAEMON_OPTIONS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dspark.port.maxRetries=0 -Dspark.master.rest.enabled=false"
# Copies of jars and the logs of executors go an hour after their application.
WORKER_OPTIONS = (
    "-Dspark.worker.cleanup.enabled=true -Dspark.worker.cleanup.interval=300 -Dspark.worker.cleanup.appDataTtl=3600"
)
# Without it the first application takes every core, and a second one waits for its end.
MASTER_OPTIONS = "-Dspark.deploy.defaultCores={cores}"


class Cluster(Service):
    """One master and two workers, each a process of its own; executors are children of the workers.

    What a worker offers is what the settings say, whatever the machine has: cores and memory of a worker are
    Spark's book-keeping, an executor's own heap is what is really taken.

    Args:
        folder: of all that belongs to it.
        ports: by their keys in local/settings.toml; those of that file where one is not given.
    """

    name = "cluster"
    section_keys = ("port", "webui_port", "worker_1_webui_port", "worker_2_webui_port")

    def __init__(self, folder: Path | None = None, ports: Mapping[str, int] | None = None) -> None:
        super().__init__(folder)
        self._ports = dict(ports or {})
        self.daemon = Daemon("master", self.folder)
        self.workers = [Daemon(f"worker-{number}", self.folder) for number in range(1, WORKERS + 1)]

    @property
    def daemons(self) -> Sequence[Daemon]:
        return [self.daemon, *self.workers]

    def by_default(self) -> bool:
        return settings.text("dataproc", "spark_master") == WANTED

    def ports(self) -> dict[str, int]:
        return {**super().ports(), **self._ports, **self.ports_held()}

    def clear(self) -> None:
        """End what killed daemons left behind, executors too; workers whose master is gone are of no use."""
        if self.daemon.pid() is None:
            for worker in self.workers:
                worker.kill()
        super().clear()

    def launch(self, env: Mapping[str, str]) -> None:
        """Start what does not run: all of it, or the worker that died."""
        ports = self.ports()
        spark = _spark_home()
        cores, memory = settings.whole("cluster", "worker_cores"), settings.text("cluster", "worker_memory")
        known = {
            **env,
            "SPARK_HOME": str(spark),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": DAEMON_OPTIONS,
            "SPARK_MASTER_OPTS": MASTER_OPTIONS.format(cores=cores),
            "SPARK_WORKER_OPTS": WORKER_OPTIONS,
            "PYSPARK_PYTHON": sys.executable,
        }
        if self.daemon.pid() is None:
            self._start(self.daemon, "master.Master", ["--port", str(ports["port"])], "webui_port", known)
        for worker in self.workers:
            if worker.pid() is None:
                place = self.folder / worker.name
                shutil.rmtree(place, ignore_errors=True)  # of its earlier life: executors' folders, copies of jars
                offer = ["--cores", str(cores), "--memory", memory, "--work-dir", str(place), self.url()]
                key = f"{worker.name.replace('-', '_')}_webui_port"
                self._start(worker, "worker.Worker", offer, key, {**known, "SPARK_LOCAL_DIRS": str(place / "scratch")})

    def _start(self, daemon: Daemon, main: str, words: list[str], webui: str, env: Mapping[str, str]) -> None:
        port = self.ports()[webui]
        command = [f"{env['SPARK_HOME']}/bin/spark-class", f"org.apache.spark.deploy.{main}", "--host", "127.0.0.1"]
        command += ["--webui-port", str(port), *words]
        ports = {webui: port, **({"port": self.port} if daemon is self.daemon else {})}
        self.folder.mkdir(parents=True, exist_ok=True)
        daemon.start(command, env=env, cwd=self.folder, ports=ports)

    def is_healthy(self) -> bool:
        """Whether the master is ours, and alive, and has all its workers."""
        if not self.is_running():
            return False
        try:
            with open_local(f"http://127.0.0.1:{self.ports()['webui_port']}/json/") as answer:
                told = json.load(answer)
            alive = [worker for worker in told["workers"] if worker["state"] == "ALIVE"]
            return told["url"] == self.url() and told["status"] == "ALIVE" and len(alive) == WORKERS
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def url(self) -> str:
        """Spark's master, as spark-submit takes it."""
        return f"spark://127.0.0.1:{self.port}"

    def address(self) -> str:
        return f"{self.url()}, http://127.0.0.1:{self.ports()['webui_port']}"

    def exports(self) -> dict[str, str]:
        return {VARIABLE: self.url()}


def _spark_home() -> Path:
    """The pyspark that is installed, whatever SPARK_HOME says: drivers are of the same version."""
    spec = importlib.util.find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
