"""docs/commands.md says what every script's --help says, and that is worth reading; links and names of files hold."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import document_commands
import pytest

SCRIPTS = document_commands.scripts()
ROOT = document_commands.ROOT
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def test_the_page_is_up_to_date_whatever_the_terminal_and_the_users_settings() -> None:
    env = {**os.environ, "COLUMNS": "40", "MLFLOW_TRACKING_URI": "http://elsewhere"}
    command = [sys.executable, document_commands.__file__, "--check"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_page_out_of_date_is_told_in_one_line_that_names_the_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(document_commands, "ROOT", tmp_path)
    monkeypatch.setattr(document_commands, "PAGE", tmp_path / "docs" / "commands.md")
    with pytest.raises(SystemExit, match=r"^docs/commands\.md is out of date: run `make docs`$"):
        document_commands.main(["--check"])


def test_make_docs_writes_every_page_that_make_check_compares() -> None:
    targets = dict(re.findall(r"^(docs|check):.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for script in ("document_commands.py", "document_variables.py"):
        assert f"ci-cd/{script}\n" in targets["docs"]
        assert f"ci-cd/{script} --check\n" in targets["check"]


def test_the_page_holds_what_help_prints() -> None:
    command = [sys.executable, document_commands.__file__, "--help"]
    done = subprocess.run(command, env={"COLUMNS": "100"}, capture_output=True, text=True, check=True)
    assert f"## ci-cd/document_commands.py\n\n```text\n{done.stdout}```\n" in document_commands.page()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_describes_itself_and_each_of_its_flags(script: Path) -> None:
    parser = document_commands.parser_of(script)
    assert parser.description, f"{script.name} wants a module docstring, given to its parser as description"
    bare = [action.dest for action in parser._actions if not action.help or action.help == argparse.SUPPRESS]
    assert not bare, f"{script.name} wants a help text for {bare}"


def _anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in _anchors(target), f"{page.name} links to {link}"


def test_files_that_contributing_names_are_there() -> None:
    folders = ("benchmarks", "ci-cd", "code", "docs", "local", "monitoring", "tests")
    there = {path.name for folder in folders for path in (ROOT / folder).rglob("*.*")}
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`(?:[\w./-]+/)?([\w-]+\.(?:py|sh|toml|md|yml))`", text)
    assert named
    assert not set(named) - there
