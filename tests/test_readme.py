"""The README's commands, word for word, in an empty folder; only the environment is the one that is there already."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INSTALLING = ["python3 -m venv env/venv", ". env/venv/bin/activate", "pip install -r requirements.txt"]


def second_way() -> list[str]:
    block = re.search(r"<!-- tests/test_readme.py.*?```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    return block.group(1).strip().splitlines()


@pytest.mark.spark
def test_the_second_way_in_leads_to_a_registered_model(sample_csv: Path, tmp_path: Path) -> None:
    commands = second_way()
    assert commands[:3] == INSTALLING
    assert [command.split()[:2] for command in commands[3:]] == [
        ["python", f"code/{script}.py"] for script in ("preprocess", "create_splits", "train_and_log")
    ]
    shutil.copytree(ROOT / "code", tmp_path / "code", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data_raw").mkdir()
    shutil.copy(sample_csv, tmp_path / "data_raw")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for variable in ("SPARK_LOCAL_IP", "PYSPARK_PYTHON", "PYSPARK_SUBMIT_ARGS", "PYSPARK_GATEWAY_PORT"):
        environment.pop(variable, None)
    script = "\n".join(commands[3:])
    ended = subprocess.run(
        ["bash", "-ec", script], cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "best model   twitter-sentiment-model-best, version 1" in ended.stdout
    assert (tmp_path / "mlflow.db").exists()
    assert (tmp_path / "data_clean" / "splits" / "test").is_dir()
