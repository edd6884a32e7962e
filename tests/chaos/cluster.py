"""A standalone Spark cluster on 127.0.0.1: one master, two workers with a core each."""

import os
import sys
import time
from pathlib import Path
from types import TracebackType

from services import Daemon, free_port

START_SECONDS = 60.0


class Cluster:
    """Running between `with` and its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.master = f"spark://127.0.0.1:{self.port}"
        self._daemons: list[Daemon] = []

    def __enter__(self) -> "Cluster":
        master = ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(self.port)]
        self._start("master", [*master, "--webui-port", "0"], "I have been elected leader")
        for number in range(2):
            worker = ["org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--webui-port", "0"]
            size = ["--cores", "1", "--memory", "700m", "--work-dir", str(self.folder / f"work-{number}")]
            self._start(f"worker-{number}", [*worker, *size, self.master], "Successfully registered with master")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for daemon in reversed(self._daemons):
            daemon.stop(10)

    def _start(self, name: str, words: list[str], ready: str) -> None:
        daemon = Daemon(name, self.folder)
        env = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
        env |= {"SPARK_DAEMON_MEMORY": "256m", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        import pyspark

        daemon.start([str(Path(pyspark.__file__).parent / "bin" / "spark-class"), *words], env, self.folder)
        self._daemons.append(daemon)
        until = time.monotonic() + START_SECONDS
        while ready not in daemon.log_file.read_text(errors="replace"):
            if daemon.pid() is None or time.monotonic() > until:
                raise RuntimeError(f"{name} did not start:\n{daemon.tail()}")
            time.sleep(0.2)
