"""How every job script ends: one line for a user's mistake, and the right exit code."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn


class ArgumentsError(Exception):
    """Arguments that do not fit together; the message names them, what was wanted and what was found (exit 2)."""

    exit_code = 2


class DataError(Exception):
    """Data, storage or a service that does not fit; the message names it and what was wanted (exit 1)."""

    exit_code = 1


class EndedBySignalError(KeyboardInterrupt):
    """The job was told to end by a signal and left nothing half done (exit 128 + the signal's number).

    An interruption, so that nobody takes it for a failure of what was under way, and Py4J drops the connection on
    which an answer is still to come.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def one_line(error: BaseException) -> str:
    """An error's text in one line, its kind if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def run(main: Callable[[], None]) -> None:
    """Run a job script's `main`; a user's mistake becomes one line on stderr and exit code 1 or 2.

    SIGTERM becomes an EndedBySignalError where the job stands, so that it clears up what it had begun. Anything else is
    a fault of ours: it keeps its stack trace.
    """
    script = Path(sys.argv[0]).name
    try:
        with _clearing_up():
            main()
    except (ArgumentsError, DataError) as error:
        print(f"{script}: error: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    except EndedBySignalError as ended:
        print(f"{script}: {ended}", file=sys.stderr, flush=True)
        sys.exit(ended.exit_code)
    except KeyboardInterrupt:
        print(f"{script}: interrupted", file=sys.stderr, flush=True)
        sys.exit(130)


@contextlib.contextmanager
def _clearing_up() -> Iterator[None]:
    """Inside, SIGTERM is raised as an error; a job that minds it in a way of its own sets its own handler."""
    before = signal.getsignal(signal.SIGTERM)
    if before is not signal.SIG_DFL or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, _frame: object) -> NoReturn:
    signal.signal(number, lambda *_: None)  # clearing up is not to be cut short
    threading.Thread(target=_cancel_spark_jobs, daemon=True).start()  # our own connection may wait for one's answer
    raise EndedBySignalError(number)


def _cancel_spark_jobs() -> None:
    """Threads that the job waits for end when their Spark jobs do."""
    pyspark: Any = sys.modules.get("pyspark")  # a job that never loaded it has none
    with contextlib.suppress(Exception):  # a JVM that had the signal too is gone
        if pyspark and pyspark.SparkContext._active_spark_context:
            pyspark.SparkContext._active_spark_context.cancelAllJobs()
