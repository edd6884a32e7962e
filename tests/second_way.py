"""The README's second way in, word for word but for the environment, for test_training_job.py."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from services import ROOT


@dataclass
class SecondWay:
    """The folder that stood for the checkout, what was printed, and what was left in the folder for temporary files."""

    folder: Path
    printed: str
    left: list[str]


def walked(folder: Path, tweets: Path) -> SecondWay:
    """The file of tweets preprocessed, divided and trained on in an empty folder, on one core."""
    shutil.copytree(ROOT / "code", folder / "code", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data_raw").mkdir()
    shutil.copy(tweets, folder / "data_raw")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ours = ("MLFLOW_", "PYSPARK_", "SPARK_")  # what this process's own Spark and MLflow have set
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {"PATH": path, "PYSPARK_SUBMIT_ARGS": "--master local[1] pyspark-shell"}
    environment |= {"SPARK_SUBMIT_OPTS": os.environ["SPARK_SUBMIT_OPTS"]}  # conftest.py's, for speed
    temporary = folder / "temporary"
    temporary.mkdir()
    environment["TMPDIR"] = str(temporary)
    command = ["bash", "-ec", "\n".join(_commands()[3:])]
    ended = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return SecondWay(folder, ended.stdout, sorted(path.name for path in temporary.iterdir()))


def _commands() -> list[str]:
    block = re.search(r"<!-- tests/test_training_job.py.*?```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    commands = block.group(1).strip().splitlines()
    assert commands[:3] == [
        "python3 -m venv env/venv",
        ". env/venv/bin/activate",
        "pip install -r requirements.txt",
    ]
    assert [command.split()[1] for command in commands[3:]] == [
        f"code/{script}.py" for script in ("preprocess", "create_splits", "train_and_log")
    ]
    return commands
