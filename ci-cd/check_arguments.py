"""Say whether a job script takes some arguments, before anything is staged, drained or submitted for them.

`check_arguments.py SCRIPT ARGUMENTS...`; exit 2 and the script's own line where it does not.
"""

import importlib
import sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "code"))
from sentiment.jobs import ArgumentsError


def complaint(script: str, arguments: list[str]) -> str:
    """The one line that the script would end with; empty: it takes them."""
    module = importlib.import_module(script.removesuffix(".py"))
    said = StringIO()
    try:
        with redirect_stderr(said):
            args = module.parse_args(arguments)
    except SystemExit:
        return (said.getvalue().splitlines() or [""])[-1].partition("error: ")[2]
    try:
        if hasattr(module, "cli"):  # the stream knows which arguments fit together
            module.cli.settings(args)
    except ArgumentsError as error:
        return str(error)
    return ""


def main() -> None:
    if line := complaint(sys.argv[1], sys.argv[2:]):
        print(line, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
