"""The suite's job scripts as processes of this machine, for the DAG that needs no cloud."""

import collections
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sentiment_dags.variables import SettingsError

log = logging.getLogger(__name__)

CHECKOUT = Path(__file__).resolve().parents[3]
TAIL = 25
CLOUD = ("STORAGE_EMULATOR_HOST", "SENTIMENT_LEDGER", "MLFLOW_TRACKING_URI")
"""Settings of a stack that this DAG does without: its plan lets no gs:// through to the scripts."""

REFUSED, CHECK_SECONDS = 2, 60.0
WATCH = 'read -r nothing; kill -s KILL -- "-$1"'
"""For sh: ends a process group as soon as nobody holds the other end of its stdin."""


class ScriptError(RuntimeError):
    """A script ended with an exit code that was not wanted; the line names both, and the script's last words."""


def training_data(asked: str, checkout: Path = CHECKOUT) -> str:
    """The tweets to train on: what is asked for, else data_raw/sentiment140, else a sample in data_raw/sample.

    Raises:
        SettingsError: there is none.
    """
    if asked:
        place = Path(asked) if Path(asked).is_absolute() else checkout / asked
        if place.exists():
            return str(place)
        raise SettingsError(f"Param data: want a CSV file or a folder of them, found nothing at {asked}")
    folders = [str(checkout / "data_raw" / name) for name in ("sentiment140", "sample")]
    command = [sys.executable, str(CHECKOUT / "code" / "sentiment" / "raw_files.py"), *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=CHECK_SECONDS)
    if found := done.stdout.strip():
        return found
    raise SettingsError(
        "Param data: want tweets below data_raw/, found none: code/download_and_upload.py fetches them, "
        "code/sample_tweets.py --output data_raw/sample/ makes some"
    )


def check_arguments(variable: str, script: str, words: Sequence[str], checkout: Path = CHECKOUT) -> None:
    """See that a script takes its arguments, before anything is made for it; without a checkout it cannot be asked.

    Args:
        variable: the Variable or Param whose words are among the arguments, such as "Variable gate_args".
        script: name of the file.
        words: all of its arguments.
        checkout: of the repository; may be none.

    Raises:
        SettingsError: it does not.
    """
    checking = checkout / "ci-cd" / "check_arguments.py"
    if not checking.is_file():
        return
    command = [sys.executable, str(checking), script, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CHECK_SECONDS)
    if done.returncode == REFUSED:
        said = done.stderr.strip()
        raise SettingsError(f"{variable}: want arguments that {script} takes, found others: {said}")


def run(script: str, words: Sequence[str], folder: Path) -> None:
    """Run a script of the checkout with this Python, its output in the task's log.

    Args:
        script: its path in the checkout.
        words: arguments.
        folder: to run it in; MLflow puts artifacts there.

    Raises:
        ScriptError: it ended otherwise.
    """
    kept = {name: value for name, value in os.environ.items() if name not in CLOUD and not name.startswith("AIRFLOW")}
    env = {**kept, "PYSPARK_PYTHON": sys.executable, "NO_GCE_CHECK": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-u", str(CHECKOUT / script), *words]
    log.info("python %s %s", script, " ".join(words))
    last: collections.deque[str] = collections.deque(maxlen=TAIL)
    with (
        subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process,
        _ended_with_the_task(process),
    ):
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip())
            log.info("%s", last[-1])
        code = process.wait()
    if code:
        words_of_its_own = [line for line in last if line.startswith(f"{Path(script).name}: error: ")]
        said = (words_of_its_own or [line for line in last if line] or ["nothing"])[-1]
        raise ScriptError(f"{script} ended with exit code {code}: {said}")


@contextmanager
def _ended_with_the_task(process: subprocess.Popen[str]) -> Iterator[None]:
    """No script outlives its task, nor does the JVM below it: a second training would write the same folders.

    Airflow's own handler of SIGTERM does nothing for a function; this one ends the script, and so the task. For SIGKILL
    a second process watches, in a session of its own, as Airflow's signals go to the task's whole process group.
    """

    def end(*_: object) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)

    here = threading.current_thread() is threading.main_thread()  # others must not set a handler
    before = signal.signal(signal.SIGTERM, end) if here else None
    command = ["/bin/sh", "-c", WATCH, "watch", str(process.pid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as watcher:
        try:
            yield
        finally:
            end()
            watcher.kill()
            if here:
                signal.signal(signal.SIGTERM, before)
