"""promote-model.py as a user starts it: a real trial in a fresh process, and one whose process is killed."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import package
import psutil
import pytest
from gate_shelf import Shelf
from pyspark.sql import SparkSession

from sentiment import packing
from sentiment.gate import child
from sentiment.live.opening import open_ledger

pytestmark = pytest.mark.spark

Promoting = tuple[str, Path, "subprocess.Popen[str]"]
SCRIPT = Path(__file__).parent.parent / "ci-cd" / "promote-model.py"


@pytest.fixture(scope="module")
def shelf(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    assert spark.version  # pipelines are saved by it
    made = Shelf(tmp_path_factory.mktemp("gate-script"))
    made.make()
    return made


def start(shelf: Shelf, model: str, ledger: Path, *more: str) -> "subprocess.Popen[str]":
    """The script in a folder of its own, with no setting of this process's Spark."""
    names = [*("--mlflow-uri", shelf.uri, "--model-name", model, "--ledger", str(ledger)), *more]
    env = {**os.environ, "SENTIMENT_DRIVER_MEMORY": "1g", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *names],
        cwd=shelf.folder,
        env={name: value for name, value in env.items() if not name.startswith("PYSPARK_GATEWAY")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def promoting(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Promoting]:
    """A gate at work while the other tests have theirs; the last test takes what came of it."""
    model, ledger = shelf.stand("good"), tmp_path_factory.mktemp("promoting") / "ledger"
    process = start(shelf, model, ledger, "--max-latency-ratio", "50")
    yield model, ledger, process
    process.kill()
    process.communicate()


@pytest.mark.usefixtures("promoting")
def test_a_trial_that_is_killed_is_told_and_moves_nothing(shelf: Shelf, tmp_path: Path) -> None:
    model = shelf.stand("good")
    before = shelf.aliases(model)
    process = start(shelf, model, tmp_path / "ledger")
    assert process.stderr is not None
    seen, jvms = [], []
    for line in process.stderr:
        seen.append(line)
        if "loading the challenger, version 2 ..." in line:
            (process_of_trial,) = [
                each for each in psutil.Process(process.pid).children() if child.__name__ in each.cmdline()
            ]
            jvms = [each for each in process_of_trial.children() if "java" in each.name()]
            process_of_trial.kill()
            break
    out, err = process.communicate(timeout=120)
    assert process.returncode == 3, "".join(seen) + err
    (line,) = [line for line in out.splitlines() if line.startswith("kept:")]
    assert line.startswith("kept: loads: the trial's process was ended by SIGKILL")
    assert "while fetching and loading the challenger, version 2" in line
    assert "passed: same-split: " in out
    assert shelf.aliases(model) == before
    assert jvms
    assert psutil.wait_procs(jvms, timeout=20)[1] == [], "the trial's JVM outlives it"


def test_sigterm_ends_the_trial_too(shelf: Shelf, tmp_path: Path) -> None:
    model = shelf.stand("good")
    before = shelf.aliases(model)
    process = start(shelf, model, tmp_path / "ledger")
    assert process.stderr is not None
    assert any("starting Spark ..." in line for line in process.stderr)
    family = psutil.Process(process.pid).children(recursive=True)
    assert child.__name__ in family[0].cmdline()
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()[-1]) == (143, "promote-model.py: ended by SIGTERM")
    assert psutil.wait_procs(family, timeout=20)[1] == []
    assert shelf.aliases(model) == before


def test_the_zip_for_a_cluster_holds_the_templates_of_its_pages() -> None:
    with zipfile.ZipFile(BytesIO(packing.zipped(package.CODE / "sentiment"))) as archive:
        names = archive.namelist()
    assert {"sentiment/gate/card.md.jinja", "sentiment/gate/card.html.jinja", "sentiment/gate/child.py"} <= set(names)
    assert {f"sentiment/{name}.html.jinja" for name in ("page", "tables", "live/history")} <= set(names)


def test_a_decision_is_written_for_programs_and_then_no_failure(shelf: Shelf, tmp_path: Path) -> None:
    model, verdict = shelf.stand("good"), tmp_path / "gate" / "verdict.json"
    asked = ["--model-version", "1"]
    process = start(shelf, model, tmp_path / "ledger", *asked, "--verdict", str(verdict))
    plain = start(shelf, model, tmp_path / "ledger", *asked)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    line = "kept: version 1 is the champion already"
    assert out.splitlines() == [line]
    found = json.loads(verdict.read_text(encoding="utf-8"))
    assert found == {"promoted": False, "challenger": "1", "champion": "1", "lines": [line]}
    out, err = plain.communicate(timeout=120)
    assert (plain.returncode, out.splitlines()) == (0, [line]), err


def test_a_good_challenger_is_promoted(shelf: Shelf, promoting: Promoting) -> None:
    model, ledger, process = promoting
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "promoted: version 2 is the champion (entry 2, was version 1)"
    assert "passed: regression: accuracy of challenger minus champion +0.0500" in out
    steps = ["starting Spark", "loading the champion, version 1", "loading the challenger, version 2", "timing batches"]
    assert [step for step in steps if step not in err] == []
    assert err.index(steps[1]) < err.index(steps[2])
    assert shelf.aliases(model)["champion"] == "2"
    entries = open_ledger(shelf.client, model, str(ledger)).entries()
    assert [entry.action for entry in entries] == ["found", "promoted"]
