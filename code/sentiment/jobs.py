"""How every job script ends: one line for a user's mistake, and the right exit code."""

import io
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sentiment import signals

JVM_SECONDS = 0.3
"""How long after an error Spark's JVM has to end, if its end was the reason."""

_QUERY_SECRET = re.compile(r"([?&;][\w-]*(?:passw|pwd|token|secret|odbc_connect)[\w-]*=)[^&\s]+", re.IGNORECASE)
_TRACE = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n)*(\S.*)")


class ArgumentsError(Exception):
    """Arguments that do not fit together; the message names them, what was wanted and what was found (exit 2)."""

    exit_code = 2


class DataError(Exception):
    """Data, storage or a service that does not fit; the message names it and what was wanted (exit 1)."""

    exit_code = 1


@contextmanager
def naming(source: str) -> Iterator[None]:
    """A DataError raised inside begins with `source`: the flag that named the data, and what it said."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{source}: {error}") from error


def one_line(error: BaseException) -> str:
    """An error's text in one line, see `raised`; its kind if it has none."""
    return " ".join(raised(str(error)).split()) or type(error).__name__


def raised(text: str) -> str:
    """What the last stack trace in a text ends with, if it holds any: Spark passes on those of its Python workers."""
    ends = _TRACE.findall(text)
    return str(ends[-1]) if ends else text


def without_secrets(uri: str) -> str:
    """A URI, or a text that holds some, without user names and passwords, whatever these hold but spaces.

    Of the query the values of password, pwd, token, secret, odbc_connect and the like become ***.
    """
    return _QUERY_SECRET.sub(r"\1***", re.sub(r"(?<=://)([^/:@\s]*:\S*|[^/?#\s]*)@", "", uri))


class _Output(io.FileIO):
    """Standard output. A reader who has seen enough (`| head`) is no failure: what more is written goes nowhere.

    Where it cannot be written for another reason, a full disk for one, the job goes on too; `run` tells at its end.
    """

    unwritten = ""
    """Why something could not be written."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            return len(data)
        except OSError as error:
            _Output.unwritten = one_line(error)
            return len(data)


def is_heard() -> bool:
    """Whether standard output takes what is written, and somebody is left to read it; who writes without end asks."""
    if _Output.unwritten:
        return False
    output = select.poll()
    output.register(1, 0)
    return not any(event & select.POLLERR for _, event in output.poll(0))


def run(main: Callable[[], None]) -> None:
    """Run a job script's `main`; a user's mistake becomes one line on stderr and exit code 1 or 2.

    A job whose output nobody reads any more goes on, and its exit code says how it went; of one that would end well,
    but whose output cannot be written, it is 1. A character that standard output cannot show is shown by its number, as
    on stderr.

    SIGTERM becomes an EndedBySignalError where the job stands, and SIGINT a KeyboardInterrupt, so that it clears up
    what it had begun. Anything else is a fault of ours: it keeps its stack trace.
    """
    script = Path(sys.argv[0]).name
    _wrap_output()
    try:
        with signals.raised():
            _ran(main)
    except Exception as error:
        told: Exception = DataError(jvm) if (jvm := end_of_jvm()) else error
        if not isinstance(told, ArgumentsError | DataError):
            raise
        print(f"{script}: error: {told}", file=sys.stderr, flush=True)
        sys.exit(told.exit_code)
    except signals.EndedBySignalError as ended:
        print(f"{script}: {ended}", file=sys.stderr, flush=True)
        sys.exit(ended.exit_code)
    except KeyboardInterrupt:
        print(f"{script}: interrupted", file=sys.stderr, flush=True)
        sys.exit(130)


def _ran(main: Callable[[], None]) -> None:
    """Run `main` to its end; DataError: all is well but that its output could not be written."""
    ended = None
    try:
        main()
    except SystemExit as end:
        ended = end
    if sys.stdout is not None:
        sys.stdout.flush()
    if _Output.unwritten and (ended is None or not ended.code):
        raise DataError(f"want standard output that can be written, found {_Output.unwritten}")
    if ended is not None:
        raise ended


def _wrap_output() -> None:
    usual = sys.stdout
    if isinstance(usual, io.TextIOWrapper) and usual is sys.__stdout__:  # a test's own stays
        raw = _Output(usual.fileno(), "w", closefd=False)
        sys.stdout = io.TextIOWrapper(
            raw if usual.write_through else io.BufferedWriter(raw),
            encoding=usual.encoding,
            errors="backslashreplace",
            line_buffering=usual.line_buffering,
            write_through=usual.write_through,
        )


def raise_if_jvm_ended() -> None:
    """For who goes on after any error: without Spark's JVM nothing more comes of it."""
    if ended := end_of_jvm():
        raise DataError(ended)


def end_of_jvm() -> str:
    """How the JVM that this process has started came to an end; empty: it lives, or another has started it.

    Whatever was asked of it meanwhile tells of a connection that was refused.
    """
    process = getattr(getattr(signals.spark_context(), "_gateway", None), "proc", None)
    try:
        code = process.wait(JVM_SECONDS) if process is not None else None
    except subprocess.TimeoutExpired:
        return ""
    if code is None:
        return ""
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"want Spark's JVM to run, found that it ended: {how}; out of memory? (SENTIMENT_DRIVER_MEMORY is its heap)"
