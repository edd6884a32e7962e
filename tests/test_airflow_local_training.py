"""The training on this machine: which tweets it takes, what becomes of a script that it runs; no DAG is run."""

import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest
from airflow_run import BUNDLES
from daemons import lives
from dataproc_server import wait_for
from sentiment_dags import local_training, on_this_machine
from sentiment_dags.variables import SettingsError

GOOD = '"0","1","","","u","bad"\n"4","2","","","u","good"\n'


def test_the_local_training_names_arguments_that_a_script_does_not_take(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD, encoding="utf-8")
    params = {"data": str(tmp_path / "a.csv"), "folder": str(tmp_path), "model_name": "m"}
    good = {"training_args": ["--models", "gbt"], "gate_args": ["--min-accuracy", "0.5"]}
    assert local_training.plan({**params, **good})["model"] == "m"
    with pytest.raises(
        SettingsError, match=r"^Param gate_args: want arguments that promote-model.py takes, .*: argument"
    ):
        local_training.plan({**params, **good, "gate_args": ["--min-accuracy", "high"]})


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("data", "gs://b/tweets.csv", "gs://b/tweets.csv"),
        ("folder", "hdfs://namenode/runs", "hdfs://namenode/runs"),
        ("training_args", ["--models", "gbt", "--ledger", "gs://b/ledger"], "gs://b/ledger"),
        ("training_args", ["--ledger=GS:/b"], "--ledger=GS:/b"),
        ("gate_args", ["--ledger=s3a://me:hush@b/l"], "--ledger=s3a://***@b/l"),  # pragma: allowlist secret
    ],
)
def test_no_param_leads_the_local_training_into_a_cloud(tmp_path: Path, name: str, value: object, found: str) -> None:
    (tmp_path / "a.csv").touch()
    params = {"data": str(tmp_path / "a.csv"), "folder": str(tmp_path), "model_name": "m"}
    asked = params | {"training_args": [], "gate_args": []} | {name: value}
    with pytest.raises(SettingsError) as told:
        local_training.plan(asked)
    assert str(told.value) == f"Param {name}: want paths of this machine, found {found}: this training uses no cloud"


def test_the_registry_of_the_local_training_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    params = {"data": str(tmp_path / "a.csv"), "folder": str(tmp_path), "model_name": "m", "gate_args": []}
    with pytest.raises(SettingsError, match=r"^Params .* training_args: .* want --mlflow-uri once, found it twice"):
        local_training.plan({**params, "training_args": ["--mlflow-uri", "databricks"]})


def test_a_script_that_fails_is_told_by_its_own_last_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    words = ["--input", str(tmp_path / "none"), "--output", str(tmp_path / "out"), "--max-rejected", "2"]
    with pytest.raises(on_this_machine.ScriptError, match=r"^code/preprocess.py ended with exit code 2: .*--max-rej"):
        on_this_machine.run("code/preprocess.py", words, tmp_path)
    assert "usage: preprocess.py" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_script_ends_with_its_task_however_that_ends(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "slow.py").write_text("import os, time; print(os.getpid(), flush=True); time.sleep(60)", "utf-8")
    # Airflow's own handler of SIGTERM does nothing for a task that is a function.
    task = "import logging, signal, sys; signal.signal(signal.SIGTERM, lambda *_: None)\n"
    task += "logging.basicConfig(format='%(message)s', level=logging.INFO, stream=sys.stdout)\n"
    task += f"from pathlib import Path; here = Path({str(tmp_path)!r})\n"
    task += "from sentiment_dags import on_this_machine as m; m.CHECKOUT = here; m.run('slow.py', [], here)"
    command = [sys.executable, "-uc", task]
    env = {**os.environ, "PYTHONPATH": str(BUNDLES["dags-folder"])}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        script = psutil.Process(next(int(line) for line in process.stdout if line.strip().isdecimal()))
        process.send_signal(number)
        try:
            wait_for(lambda: not lives(script), 10)
        finally:
            for left in (script, process):
                with suppress(psutil.NoSuchProcess):
                    left.kill()
        told = process.communicate()[1]
    if number == signal.SIGTERM:
        assert "ScriptError: slow.py ended with exit code -9: " in told


def test_the_local_training_says_which_tweets_it_wants(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"^Param data: want a CSV file or a folder of them, found nothing at absent"
    ):
        on_this_machine.training_data("absent", tmp_path)
    with pytest.raises(SettingsError, match=r"^Param data: want tweets below data_raw/, found none"):
        on_this_machine.training_data("", tmp_path)
    real = tmp_path / "data_raw" / "sentiment140"
    real.mkdir(parents=True)
    (real / "sample_10.csv").write_text(GOOD, encoding="utf-8")
    with pytest.raises(SettingsError, match="found none"):
        on_this_machine.training_data("", tmp_path)
    (real / "tweets.csv").write_text(GOOD, encoding="utf-8")
    assert on_this_machine.training_data("", tmp_path) == str(real)


def test_the_local_training_names_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    with pytest.raises(SettingsError, match=r"^Param folder: want a folder .*, found .*/a\.csv: File exists$"):
        local_training.plan({"folder": str(tmp_path / "a.csv")})


def test_the_local_training_asks_the_script_whether_it_takes_the_model_s_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").touch()
    refused = Mock(side_effect=SettingsError("no such name"))
    monkeypatch.setattr(local_training, "check_arguments", refused)
    params = {"data": str(tmp_path / "a.csv"), "folder": str(tmp_path), "training_args": [], "gate_args": []}
    with pytest.raises(SettingsError, match=r"^no such name$"):
        local_training.plan({**params, "model_name": "a?b"})
    asked, script, words = refused.call_args.args
    assert (asked, script, words[-2:]) == (
        "Params model_name and training_args",
        "train_and_log.py",
        ["--registered-model-name", "a?b"],
    )
