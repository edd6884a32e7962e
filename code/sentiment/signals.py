"""SIGTERM and SIGINT in a job: raised where it stands, its Spark jobs cancelled, so that it clears up and ends."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

CANCEL_SECONDS = 5
"""How long a JVM that does not answer is waited for."""

USUAL: dict[int, Any] = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
"""Handlers that nobody has set; where another stands, the job minds that signal in a way of its own."""


class EndedBySignalError(KeyboardInterrupt):
    """The job was told to end by a signal and left nothing half done (exit 128 + the signal's number).

    An interruption, so that nobody takes it for a failure of what was under way.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = 128 + number


_ending: list[KeyboardInterrupt] = []
"""What the signal that ends this job has raised; empty: none came."""


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Inside, SIGTERM is raised as an EndedBySignalError and SIGINT as a KeyboardInterrupt."""
    handled = {number: how for number, how in USUAL.items() if _in_main() and signal.getsignal(number) is how}
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


def raise_if_ended() -> None:
    """For who goes on after any error: one that PySpark puts in the place of an interruption is none to go on after."""
    if _ending:
        raise _ending[0]


class Remembered:
    """The first signal that came: its number, 0 while there is none."""

    number = 0


@contextlib.contextmanager
def remembered() -> Iterator[Remembered]:
    """Inside, SIGTERM and SIGINT are remembered and nothing else; their handlers are what they were after it."""
    asked = Remembered()

    def remember(number: int, _frame: object) -> None:
        asked.number = asked.number or number

    before = {number: signal.signal(number, remember) for number in USUAL if _in_main()}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Inside, where Spark is started, SIGINT and SIGTERM wait: a JVM whose start was cut short stays behind for good.

    Their handlers stay what they were. PySpark's own for SIGINT would ask the JVM something on the connection that
    waits for an answer.
    """
    try:
        with remembered() as asked:
            yield
    finally:
        if asked.number:
            signal.raise_signal(asked.number)


@contextlib.contextmanager
def spark_threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that begin Spark jobs. Where the job is ended, what they still begin is cancelled until they are over."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
        pool.shutdown()  # waits, and is where most interruptions come up
    except KeyboardInterrupt:
        over = threading.Thread(target=pool.shutdown, kwargs={"cancel_futures": True})
        over.start()
        while over.is_alive():
            _cancel_spark_jobs()
            over.join(0.1)
        raise
    finally:
        pool.shutdown()


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
    cancelling = threading.Thread(target=_cancel_spark_jobs, daemon=True)
    cancelling.start()
    cancelling.join(CANCEL_SECONDS)
    context = spark_context()
    # Without pinned threads (PYSPARK_PIN_THREAD) connections belong to nobody.
    ours = context and getattr(context._gateway._gateway_client, "get_thread_connection", lambda: None)()
    if ours is not None:
        ours.close()


def _cancel_spark_jobs() -> None:
    with contextlib.suppress(Exception):  # a JVM that had the signal too is gone
        context = spark_context()
        if context is not None:
            context.cancelAllJobs()


def spark_context() -> Any:
    """The one that runs; a job that has not loaded all of pyspark has none."""
    return getattr(getattr(sys.modules.get("pyspark"), "SparkContext", None), "_active_spark_context", None)


def _in_main() -> bool:
    return threading.current_thread() is threading.main_thread()
