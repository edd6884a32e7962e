"""How every job script ends: one line for a user's mistake, and the right exit code."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

CANCEL_SECONDS = 5
"""How long a JVM that does not answer is waited for."""


class ArgumentsError(Exception):
    """Arguments that do not fit together; the message names them, what was wanted and what was found (exit 2)."""

    exit_code = 2


class DataError(Exception):
    """Data, storage or a service that does not fit; the message names it and what was wanted (exit 1)."""

    exit_code = 1


class EndedBySignalError(KeyboardInterrupt):
    """The job was told to end by a signal and left nothing half done (exit 128 + the signal's number).

    An interruption, so that nobody takes it for a failure of what was under way.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def one_line(error: BaseException) -> str:
    """An error's text in one line, its kind if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def run(main: Callable[[], None]) -> None:
    """Run a job script's `main`; a user's mistake becomes one line on stderr and exit code 1 or 2.

    SIGTERM becomes an EndedBySignalError where the job stands, and SIGINT a KeyboardInterrupt, so that it clears up
    what it had begun. Anything else is a fault of ours: it keeps its stack trace.
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
    """Inside, SIGTERM and SIGINT are raised as errors; a job that minds them in a way of its own sets its handlers."""
    usual = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    in_main = threading.current_thread() is threading.main_thread()
    handled = {number: how for number, how in usual.items() if in_main and signal.getsignal(number) is how}
    for number in handled:
        signal.signal(number, _end)
    try:
        yield
    except Exception:
        raise_if_ended()
        raise
    finally:
        _ending.clear()
        for number, how in handled.items():
            signal.signal(number, how)


_ending: list[KeyboardInterrupt] = []
"""What the signal that ends this job has raised; empty: none came."""


def raise_if_ended() -> None:
    """For who goes on after any error: one that PySpark puts in the place of an interruption is none to go on after."""
    if _ending:
        raise _ending[0]


def _end(number: int, _frame: object) -> NoReturn:
    """Clearing up is cut short by nothing but an interruption that comes after this signal."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _ending.append(KeyboardInterrupt() if number == signal.SIGINT else EndedBySignalError(number))
    _leave_spark()
    raise _ending[0]


def _leave_spark() -> None:
    """End all Spark jobs, also those that other threads wait for, and drop our connection: it may wait for an answer.

    The jobs are cancelled on a connection of its own, before anything is raised: where an interruption comes up in the
    midst of a call, Py4J closes whatever connections it finds, and Java whatever come from here.
    """
    pyspark: Any = sys.modules.get("pyspark")  # a job that never loaded it has none
    context = pyspark and pyspark.SparkContext._active_spark_context
    if not context:
        return

    def cancel() -> None:
        with contextlib.suppress(Exception):  # a JVM that had the signal too is gone
            context.cancelAllJobs()

    cancelling = threading.Thread(target=cancel, daemon=True)
    cancelling.start()
    cancelling.join(CANCEL_SECONDS)
    connection = context._gateway._gateway_client.get_thread_connection()
    if connection is not None:
        connection.close()
