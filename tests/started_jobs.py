"""Every packed script as spark-submit starts it from an empty folder, for test_packaging.py."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import package
import pytest
from beside import under_way

GATE = package.CODE.parent / package.GATE
SCRIPTS = [*sorted(package.CODE.glob("*.py")), GATE]
NAMES = [script.name for script in SCRIPTS]
HELP = "--help of "
FORMS = ["self-contained", "py-files"]
ASK, EACH = "ask a worker", "each in py-files"


@dataclass
class Dist:
    """What was packed, and from where: `job` finds a job's arguments in either form."""

    code: Path
    folder: Path

    def job(self, form: str, name: str) -> list[str]:
        if form == "self-contained":
            return [str(self.folder / name)]
        return ["--py-files", str(self.folder / "sentiment.zip"), str(self.code / name)]


@dataclass
class Start:
    """How a job went, and what its folder held afterwards."""

    done: subprocess.CompletedProcess[str]
    folder: Path


Starts = dict[str, "Future[Start]"]

# One process for them all: what --py-files does for the first it does for the others.
EACH_SCRIPT = """
import pathlib, runpy, sys
for script in sorted(pathlib.Path(sys.argv[1]).glob("*.py")):
    sys.argv = [script.name, "--help"]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        assert end.code == 0, (script, end.code)
"""

ASK_SCRIPT = '''"""Ask a worker for the package."""

import sys

from sentiment.session import session


def where(_: int) -> str:
    import sentiment

    return sentiment.__file__


if __name__ == "__main__":
    print(session("ask").sparkContext.parallelize([0], 1).map(where).first())
    print(sys.path[0])
'''


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Dist:
    """The packed tree; the scripts of code/ lie apart from the package, as they do once they are uploaded."""
    root = tmp_path_factory.mktemp("packaging")
    (root / "code").mkdir()
    for script in SCRIPTS:
        shutil.copy(script, root / "code")
    packed = package.write_all(package.CODE, root / "dist")[0].read_bytes()
    (root / "asking").mkdir()
    (root / "asking" / "each.py").write_text(EACH_SCRIPT, encoding="utf-8")
    (root / "asking" / "ask.py").write_text(package.self_contained("ask.py", ASK_SCRIPT, packed), encoding="utf-8")
    return Dist(root / "code", root / "dist")


@pytest.fixture(scope="session")
def job_starts(lane: ThreadPoolExecutor, dist: Dist, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starts]:
    """Every job by its name, from a folder of its own that is empty but for its input."""
    asking = dist.folder.parent / "asking"
    jobs = {HELP + name: [*dist.job("self-contained", name), "--help"] for name in NAMES}
    jobs[EACH] = ["--py-files", str(dist.folder / "sentiment.zip"), str(asking / "each.py"), str(dist.code)]
    jobs[ASK] = [str(asking / "ask.py")]
    rows = [
        f'"{target}","{n}","","NO_QUERY","user","tweet {n} of mood {target}"' for n in range(120) for target in (0, 4)
    ]
    folders = {name: tmp_path_factory.mktemp("start") for name in [*jobs, *FORMS]}
    for form in FORMS:
        jobs[form] = [*dist.job(form, "preprocess.py"), "--input", "tweets.csv", "--output", "clean"]
        (folders[form] / "tweets.csv").write_text("\n".join(rows) + "\n", encoding="latin-1")
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(under_way(lane, partial(submitted, job, folders[name])))
            for name, job in jobs.items()
        }


def submitted(job: list[str], folder: Path) -> Start:
    spark_submit = str(Path(sys.executable).with_name("spark-submit"))
    settings = ["--master", "local[1]", "--driver-memory", "1g", "--conf", "spark.ui.enabled=false"]
    quick = {"SPARK_SUBMIT_OPTS": os.environ["SPARK_SUBMIT_OPTS"]}  # conftest.py's
    return Start(run([spark_submit, *settings, *job], folder, **quick), folder)


def run(command: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` with nothing of this process's Python or Spark settings, but more of an environment."""
    home = {name: os.environ[name] for name in ("HOME", "JAVA_HOME", "TMPDIR") if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**home, "PATH": path, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", **more}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)
