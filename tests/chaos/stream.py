"""A serving driver as a process of its own: started, watched, frozen and killed as a whole."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import jars
from services import ROOT

CODE = ROOT / "code"
SCRIPT = "streaming_serving_mlflow_hdfs_kafka.py"
RUNS = "the stream runs"
START_SECONDS = 180.0
LOOK_SECONDS = 0.1
LAST_WORDS_SECONDS = 3.0
SHORT_LIVED = "-XX:TieredStopAtLevel=1"
"""A driver that lives for half a minute gains nothing from the JVM's second compiler, which takes a core."""


class Broken(AssertionError):  # noqa: N818  a line that fails, not an error of the harness
    """Something that had to hold does not."""


class Stream:
    """One life of a driver, with its JVM, in a session and process group of its own.

    Args:
        log: file of its output.
        arguments: of the serving script.
        env: variables beside those of `base`.
        master: start it by spark-submit with this master; empty: by plain python.
        code: folder of the scripts and the package.
        base: its environment otherwise; this process's own where none is given.
    """

    def __init__(
        self,
        log: Path,
        arguments: list[str],
        env: dict[str, str] | None = None,
        master: str = "",
        code: Path = CODE,
        base: Mapping[str, str] = os.environ,
    ) -> None:
        self.log = log
        connectors = ",".join(path for path in jars.connector_jars() if "gcs" not in path)
        variables = {**base, "SENTIMENT_DRIVER_MEMORY": "1g", "SPARK_LOCAL_IP": "127.0.0.1", **(env or {})}
        variables |= {"PYSPARK_PYTHON": sys.executable, "JAVA_TOOL_OPTIONS": SHORT_LIVED}
        variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
        if master:
            command = self._submit(master, connectors)
        else:
            variables["SENTIMENT_JARS"] = connectors
            command = [sys.executable]
        log.parent.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [*command, str(code / SCRIPT), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=variables,
            cwd=log.parent,
            start_new_session=True,
        )
        log.touch()
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._writer.start()

    def _write(self) -> None:
        """The harness writes the log: a driver that may not write files can still speak."""
        assert self.process.stdout is not None
        with self.log.open("ab", buffering=0) as log:
            for line in self.process.stdout:
                log.write(line)

    @staticmethod
    def _submit(master: str, connectors: str) -> list[str]:
        settings = {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.executor.memory": "600m",
            "spark.cores.max": "2",
        }
        command = [str(Path(sys.executable).parent / "spark-submit"), "--master", master, "--driver-memory", "1g"]
        command += ["--jars", connectors]
        return command + [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]

    @property
    def text(self) -> str:
        """All it has said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def batches(self) -> list[dict[str, Any]]:
        """The batches that it has reported."""
        lines = [line[line.index("{") :] for line in self.text.splitlines() if '"event": "batch"' in line]
        return [json.loads(line) for line in lines if line.endswith("}")]

    def wait_for(self, words: str, seconds: float = START_SECONDS, times: int = 1) -> "Stream":
        """Wait until it has said so, so many times; Broken if it ends or the time does."""
        self.wait_until(lambda: self.text.count(words) >= times, f"to say {words!r}", seconds)
        return self

    def wait_until(
        self, met: Callable[[], bool], what: str, seconds: float = START_SECONDS, look: float = LOOK_SECONDS
    ) -> None:
        """Wait until `met()`; Broken if the driver ends before, or the time does."""
        until = time.monotonic() + seconds
        while not met():
            if self._has_ended() and not met():
                raise Broken(f"want the stream {what}, it ended with {self.process.returncode}: {self.last_line()}")
            if time.monotonic() > until:
                raise Broken(f"want the stream {what} within {seconds:.0f} s; its last line: {self.last_line()}")
            time.sleep(look)

    def wait(self, seconds: float = START_SECONDS) -> int:
        """Its exit code."""
        try:
            code = self.process.wait(seconds)
            self._writer.join(LAST_WORDS_SECONDS)
            return code
        except subprocess.TimeoutExpired:
            raise Broken(f"want the stream to end within {seconds:.0f} s; its last line: {self.last_line()}") from None

    def _has_ended(self) -> bool:
        """Whether it has ended, with its last words in the log."""
        return self.process.poll() is not None and self.wait() is not None

    def ends(self, code: int, seconds: float = START_SECONDS) -> "Stream":
        """Wait for its end; Broken unless it ends with this code."""
        found = self.wait(seconds)
        if found != code:
            raise Broken(f"want exit code {code}, got {found}: {self.last_line()}")
        return self

    def fails(self, words: str, seconds: float = START_SECONDS) -> "Stream":
        """Wait for its end; Broken unless it is non-zero and one line of the script's own names the words."""
        found = self.wait(seconds)
        said = [line for line in self.text.splitlines() if line.startswith(f"{SCRIPT}: error: ")]
        if found <= 0 or len(said) != 1 or words not in said[0]:
            raise Broken(f"want a non-zero end and one line with {words!r}, got {found} and {said or self.last_line()}")
        return self

    def last_line(self) -> str:
        """The last line that it said."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        return lines[-1][:300] if lines else "(nothing)"

    def signal(self, number: int) -> None:
        """A signal to the driver and all that belongs to it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """SIGKILL to all of it: nothing is completed, nothing released."""
        self.signal(signal.SIGKILL)
        self.process.wait(30)

    def freeze(self) -> None:
        """SIGSTOP to all of it."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT to all of it."""
        self.signal(signal.SIGCONT)
