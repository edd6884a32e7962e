"""What a job is doing and for how long, the same lines on a terminal and in a log file."""

import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HEARTBEAT_SECONDS = 15.0

log = logging.getLogger("sentiment")


class Progress:
    """Named steps of one job with their wall seconds, logged as they begin, go on and end.

    `steps` holds {"name", "seconds"} in the order in which the steps ended.
    """

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.steps: list[dict[str, str | float]] = []

    def elapsed(self) -> float:
        """Seconds since the job began."""
        return time.monotonic() - self.started

    def say(self, message: str) -> None:
        """Log one line with the seconds since the job began."""
        log.info("%7.1fs  %s", self.elapsed(), message)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what happens inside; a line every 15 s shows that a long step is alive."""
        begun = time.monotonic()
        done = threading.Event()
        self.say(f"{name} ...")

        def heartbeat() -> None:
            while not done.wait(HEARTBEAT_SECONDS):
                self.say(f"{name} ... still running, {time.monotonic() - begun:.0f} s")

        threading.Thread(target=heartbeat, daemon=True).start()
        try:
            yield
        finally:
            done.set()
        seconds = time.monotonic() - begun
        self.steps.append({"name": name, "seconds": round(seconds, 3)})
        self.say(f"{name}: {seconds:.1f} s")


def start_logging(file: Path | None = None) -> None:
    """Send the suite's log to the terminal (stderr) and, where given, to `file`; quieten chatty libraries."""
    log.setLevel(logging.INFO)
    log.propagate = False
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if file is not None:
        handlers.append(logging.FileHandler(file, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        log.addHandler(handler)
    os.environ["MLFLOW_LOGGING_LEVEL"] = "ERROR"  # an MLflow that is loaded later sets its loggers up by this
    for chatty in ("alembic", "mlflow", "py4j", "matplotlib", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    logging.getLogger().addFilter(_is_not_raised_too)


def _is_not_raised_too(record: logging.LogRecord) -> bool:
    """Py4J tells the root logger, with a stack trace, that somebody ended the job or the JVM, and raises it as well."""
    return record.msg not in ("KeyboardInterrupt while sending command.", "Exception while sending command.")


@contextmanager
def workplace() -> Iterator[Path]:
    """A local folder for a training's files, with its log (training.log) already open; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="sentiment-training-") as folder:
        start_logging(Path(folder, "training.log"))
        try:
            yield Path(folder)
        finally:
            start_logging()
