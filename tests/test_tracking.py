"""The registry is reached or named in one line, without passwords, and by two at once."""

import contextlib
import json
import subprocess
import sys
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
import smoke_test
from mlflow.store.artifact.utils.models import _parse_model_uri

from sentiment import tracking
from sentiment.arguments import model_name
from sentiment.jobs import DataError, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://joe:secret@127.0.0.1:9", "http://127.0.0.1:9"),  # pragma: allowlist secret
        ("postgresql+psycopg2://joe:se@cret@host/db", "postgresql+psycopg2://host/db"),  # pragma: allowlist secret
        ("to http://joe:secret@a/b and https://c/@d", "to http://a/b and https://c/@d"),  # pragma: allowlist secret
        ("no http://joe:se/c#ret@a:5000 there", "no http://a:5000 there"),  # pragma: allowlist secret
        ("http://[::1", "http://[::1"),
        ("postgresql://h/d?user=me&password=x", "postgresql://h/d?user=me&password=***"),  # pragma: allowlist secret
        ("mssql://h?ODBC_CONNECT=PWD%3Dx&a=b, h?a_token=x now", "mssql://h?ODBC_CONNECT=***&a=b, h?a_token=*** now"),
        ("mail joe@example.org", "mail joe@example.org"),
    ],
)
def test_passwords_are_not_shown(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert tracking.brief(ValueError(text)) == shown


def test_of_a_stack_trace_that_spark_passes_on_its_end_is_told() -> None:
    trace = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\n    ^^^\n'
    passed_on = (
        f"[STREAM_FAILED] {'long ' * 50}: {trace}PythonException: \n  See below.\n{trace}ValueError: no\n more\n"
    )
    assert tracking.java_line(DataError(passed_on)) == "ValueError: no"
    assert tracking.java_line(DataError("no trace\n of any")) == "no trace of any"


@pytest.mark.parametrize(
    "uri",
    [
        "http://joe:secret@127.0.0.1:9",  # pragma: allowlist secret
        "http://[::1",
        "sqlite:////proc/x.db",
    ],
)
def test_a_registry_that_cannot_be_reached_is_one_line(uri: str) -> None:
    with pytest.raises(DataError) as told:
        tracking.connect(uri)
    shown = uri.replace("joe:secret@", "")
    assert str(told.value).startswith(f"--mlflow-uri {shown}: want an MLflow server or database, found ")
    assert "secret" not in str(told.value)


def test_a_name_that_is_taken_comes_back_from_mlflow_s_uris() -> None:
    for code in [*range(0x180), 0x2028, 0x3000, 0xFF0F, 0x1F600]:
        for name in (f"{chr(code)}a", f"a{chr(code)}b", f"b{chr(code)}"):
            with contextlib.suppress(ArgumentTypeError):
                name = model_name(name)
                assert _parse_model_uri(f"models:/{name}/1").name == name


def test_who_only_asks_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^--mlflow-uri sqlite:.*: want an MLflow server or database, found no file "):
        tracking.connect(f"sqlite:///{tmp_path / 'new.db'}", make=False)
    assert list(tmp_path.iterdir()) == []


def test_the_smoke_test_makes_no_database(tmp_path: Path) -> None:
    settings = {"--source-type": "kafka", "--kafka-topic": "in", "--kafka-output-topic": "out"}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(DataError, match=r"^--mlflow-uri sqlite:.*, found no file "):
        smoke_test.main(["--checkpoint", str(tmp_path), "--mlflow-uri", f"sqlite:///{tmp_path / 'new.db'}"])
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


def test_two_processes_make_a_database_together(tmp_path: Path) -> None:
    code = "import sys; from sentiment import tracking; print(); sys.stdin.readline(); tracking.connect(sys.argv[1])"
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path / 'new.db'}"]
    pipe, cwd = subprocess.PIPE, Path(tracking.__file__).parent.parent
    both = [subprocess.Popen(command, cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    for process in both:  # has loaded what it needs
        assert process.stdout is not None
        process.stdout.readline()
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert [path.name for path in tmp_path.iterdir()] == ["new.db"]
