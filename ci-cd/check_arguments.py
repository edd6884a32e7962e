"""Say whether a job script takes some arguments, before anything is staged, drained or submitted for them.

`check_arguments.py [--begun-with JSON] SCRIPT ARGUMENTS...`; exit 2 and one line where it does not, or where a flag
occurs twice: the last one would count, and whoever submits the job relies on those that it sets itself. JSON is what
the stream's checkpoint has in settings.json: with another source or output a driver would end at once.
"""

import importlib
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "code"))
from sentiment import objects
from sentiment.jobs import ArgumentsError, DataError

BEGUN_WITH = "--begun-with"


def complaint(script: str, arguments: list[str], begun_with: str = "{}") -> str:
    """The one line that the script would end with, or that speaks against its start; empty: it takes them."""
    module = importlib.import_module(script.removesuffix(".py"))
    said = StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(StringIO()):
            args = module.parse_args(arguments)
    except SystemExit as ended:
        if not ended.code:
            return "want no --help among the arguments"
        return (said.getvalue().splitlines() or [""])[-1].partition("error: ")[2] or str(ended)
    if line := _found_twice(arguments):
        return line
    try:
        if hasattr(module, "cli"):  # the stream knows which arguments fit together
            begun = objects.json_object(begun_with, "settings.json of the checkpoint")
            module.cli.settings(args).check_begun_with(begun)
    except (ArgumentsError, DataError) as error:
        return str(error)
    return ""


def _found_twice(arguments: list[str]) -> str:
    """The line about a flag that occurs again, as --flag VALUE or --flag=VALUE; the scripts take no shortened ones."""
    flags = [word.partition("=")[0] for word in arguments if word.startswith("--")]
    for flag in flags:
        if flags.count(flag) > 1:
            return f"want {flag} once, found it twice: it may be set already"
    return ""


def main() -> None:
    words = sys.argv[1:]
    begun_with = words[1:2] if words[0] == BEGUN_WITH else []
    script, *arguments = words[2:] if begun_with else words
    if line := complaint(script, arguments, *begun_with):
        print(line, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
