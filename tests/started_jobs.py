"""Every packed script as spark-submit starts it from an empty folder, for test_packaging.py."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import package

GATE = package.CODE.parent / package.GATE
SCRIPTS = [*sorted(package.CODE.glob("*.py")), GATE]
NAMES = [script.name for script in SCRIPTS]
FORMS = ["self-contained", "py-files"]


@dataclass
class Dist:
    """What was packed, and from where: `job` finds a job's arguments in either form."""

    code: Path
    folder: Path
    asking: Path
    """With each.py, which starts every script, and ask.py, which asks a worker for the package."""

    def job(self, form: str, name: str) -> list[str]:
        if form == "self-contained":
            return [str(self.folder / name)]
        return ["--py-files", str(self.folder / "sentiment.zip"), str(self.code / name)]


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


def packed_tree(root: Path) -> Dist:
    """The tree packed into an empty folder; the scripts of code/ lie apart from the package, as once uploaded."""
    (root / "code").mkdir()
    for script in SCRIPTS:
        shutil.copy(script, root / "code")
    packed = package.write_all(package.CODE, root / "dist")[0].read_bytes()
    asking = root / "asking"
    asking.mkdir()
    (asking / "each.py").write_text(EACH_SCRIPT, encoding="utf-8")
    (asking / "ask.py").write_text(package.self_contained("ask.py", ASK_SCRIPT, packed), encoding="utf-8")
    return Dist(root / "code", root / "dist", asking)


def submitted(job: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Start a job as spark-submit does, in `folder`."""
    spark_submit = str(Path(sys.executable).with_name("spark-submit"))
    settings = ["--master", "local[1]", "--driver-memory", "1g", "--conf", "spark.ui.enabled=false"]
    quick = {"SPARK_SUBMIT_OPTS": os.environ["SPARK_SUBMIT_OPTS"]}  # conftest.py's
    return run([spark_submit, *settings, *job], folder, **quick)


def run(command: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` with nothing of this process's Python or Spark settings, but more of an environment."""
    home = {name: os.environ[name] for name in ("HOME", "JAVA_HOME", "TMPDIR") if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**home, "PATH": path, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", **more}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)
