"""How every job script ends: one line for a user's mistake, and the right exit code."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path


class ArgumentsError(Exception):
    """Arguments that do not fit together; the message names them, what was wanted and what was found (exit 2)."""

    exit_code = 2


class DataError(Exception):
    """Data, storage or a service that does not fit; the message names it and what was wanted (exit 1)."""

    exit_code = 1


class EndedBySignalError(Exception):
    """The job was told to end by a signal and left nothing half done (exit 128 + the signal's number)."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def one_line(error: BaseException) -> str:
    """An error's text in one line, its kind if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def run(main: Callable[[], None]) -> None:
    """Run a job script's `main`; a user's mistake becomes one line on stderr and exit code 1 or 2.

    Anything else is a fault of ours: it keeps its stack trace.
    """
    script = Path(sys.argv[0]).name
    try:
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
