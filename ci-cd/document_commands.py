"""Write docs/commands.md from the --help text of every script, or check that it is up to date."""

import argparse
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "commands.md"
INTRODUCTION = """# Commands

Every script with its arguments, as its `--help` prints them. Written by `make docs`; `make check` compares.
"""


class _CaughtError(Exception):
    """Carries a script's parser out of its parse_args."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def scripts() -> list[Path]:
    """The scripts to document: every job script, and whatever in ci-cd/ and monitoring/ has a parse_args."""
    others = [path for folder in ("ci-cd", "monitoring") for path in (ROOT / folder).glob("*.py")]
    tools = [path for path in others if "def parse_args(" in path.read_text(encoding="utf-8")]
    return sorted((ROOT / "code").glob("*.py")) + sorted(tools)


def parser_of(script: Path) -> argparse.ArgumentParser:
    """The parser that the script's `parse_args` builds.

    The script is imported, not run: one process imports what the scripts share once, which a `--help` each would not.
    """

    def catch(self: argparse.ArgumentParser, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise _CaughtError(self)

    spec = importlib.util.spec_from_file_location(f"_documented_{script.stem}", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with (
        mock.patch.object(sys, "argv", [str(script)]),  # argparse takes the program's name from here
        mock.patch.object(sys, "path", [str(ROOT / "code"), *sys.path]),
        mock.patch.object(argparse.ArgumentParser, "parse_args", catch),
    ):
        spec.loader.exec_module(module)
        try:
            module.parse_args([])
        except _CaughtError as caught:
            return caught.parser
    raise TypeError(f"{script}: want parse_args to call the parse_args of an ArgumentParser")


@contextmanager
def plain_environment() -> Iterator[None]:
    """An environment in which help texts come out alike everywhere: 100 columns, and none of a user's own defaults."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME", "TMPDIR") if name in os.environ}
    with mock.patch.dict(os.environ, {**kept, "COLUMNS": "100"}, clear=True):
        yield


def page() -> str:
    """The whole text of docs/commands.md."""
    parts = [INTRODUCTION]
    with plain_environment():
        for script in scripts():
            parts.append(f"## {script.relative_to(ROOT).as_posix()}\n\n```text\n{parser_of(script).format_help()}```\n")
    return "\n".join(parts)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the page is out of date")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    text = page()
    if not args.check:
        PAGE.write_text(text, encoding="utf-8")
        print(PAGE.relative_to(ROOT))
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit(f"{PAGE.relative_to(ROOT)} is out of date: run `make docs`")


if __name__ == "__main__":
    main()
