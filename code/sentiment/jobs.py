"""How every job script ends: one line for a user's mistake, and the right exit code."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from sentiment import signals


class ArgumentsError(Exception):
    """Arguments that do not fit together; the message names them, what was wanted and what was found (exit 2)."""

    exit_code = 2


class DataError(Exception):
    """Data, storage or a service that does not fit; the message names it and what was wanted (exit 1)."""

    exit_code = 1


def one_line(error: BaseException) -> str:
    """An error's text in one line, its kind if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def without_secrets(uri: str) -> str:
    """A URI, or a text that holds some, without user names and passwords, whatever these hold but spaces."""
    return re.sub(r"(?<=://)([^/:@\s]*:\S*|[^/?#\s]*)@", "", uri)


def run(main: Callable[[], None]) -> None:
    """Run a job script's `main`; a user's mistake becomes one line on stderr and exit code 1 or 2.

    SIGTERM becomes an EndedBySignalError where the job stands, and SIGINT a KeyboardInterrupt, so that it clears up
    what it had begun. Anything else is a fault of ours: it keeps its stack trace.
    """
    script = Path(sys.argv[0]).name
    try:
        with signals.raised():
            main()
    except (ArgumentsError, DataError) as error:
        print(f"{script}: error: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    except signals.EndedBySignalError as ended:
        print(f"{script}: {ended}", file=sys.stderr, flush=True)
        sys.exit(ended.exit_code)
    except KeyboardInterrupt:
        print(f"{script}: interrupted", file=sys.stderr, flush=True)
        sys.exit(130)
