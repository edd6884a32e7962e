"""`make package`: the same bytes for the same tree, and scripts that run from an empty folder, one way or the other."""

import ast
import io
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import package
import pytest
from pyspark.sql import SparkSession

from sentiment import packing
from sentiment.session import session

GATE = package.CODE.parent / package.GATE
SCRIPTS = [*sorted(package.CODE.glob("*.py")), GATE]
NAMES = [script.name for script in SCRIPTS]


@dataclass
class Dist:
    """What was packed, and from where: `submit` finds a job's arguments in either form."""

    code: Path
    folder: Path

    def job(self, form: str, name: str) -> list[str]:
        if form == "self-contained":
            return [str(self.folder / name)]
        return ["--py-files", str(self.folder / "sentiment.zip"), str(self.code / name)]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Dist:
    """The packed tree; the scripts of code/ lie apart from the package, as they do once they are uploaded."""
    root = tmp_path_factory.mktemp("packaging")
    (root / "code").mkdir()
    for script in SCRIPTS:
        shutil.copy(script, root / "code")
    package.write_all(package.CODE, root / "dist")
    return Dist(root / "code", root / "dist")


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` with nothing of this process's Python or Spark settings."""
    home = {name: os.environ[name] for name in ("HOME", "JAVA_HOME", "TMPDIR") if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**home, "PATH": path, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)


def submit(job: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    spark_submit = str(Path(sys.executable).with_name("spark-submit"))
    settings = ["--master", "local[1]", "--driver-memory", "1g", "--conf", "spark.ui.enabled=false"]
    return run([spark_submit, *settings, *job], folder)


def test_the_same_tree_gives_the_same_bytes_wherever_and_whenever_it_is_packed(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    first = package.write_all(package.CODE, here)
    copy = shutil.copytree(package.CODE, tmp_path / "elsewhere" / "code", copy_function=shutil.copyfile)
    (tmp_path / "elsewhere" / "ci-cd").mkdir()
    shutil.copyfile(GATE, tmp_path / "elsewhere" / package.GATE)
    for path in copy.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
        path.chmod(0o700)
    (copy / "sentiment" / "__pycache__").mkdir(exist_ok=True)
    (copy / "sentiment" / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
    (copy / "sentiment" / ".DS_Store").write_bytes(b"x")
    package.write_all(copy, there)
    assert [path.name for path in first] == ["sentiment.zip", *NAMES]
    assert {path.name: path.read_bytes() for path in here.iterdir()} == {
        path.name: path.read_bytes() for path in there.iterdir()
    }


def test_the_zip_holds_the_package_with_its_data_files_and_nothing_else() -> None:
    folder = package.CODE / "sentiment"
    with zipfile.ZipFile(io.BytesIO(packing.zipped(folder))) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    expected = {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert names == sorted(path.relative_to(package.CODE).as_posix() for path in expected)
    assert {"sentiment/__init__.py", "sentiment/log4j2.properties"} <= set(names)


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_a_self_contained_script_is_the_script_with_its_docstring_first(dist: Dist, script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    packed = (dist.folder / script.name).read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(packed)) == ast.get_docstring(ast.parse(source))
    start, marker, rest = packed.partition(f"# From here on: {script.parent.name}/{script.name}, unchanged.\n")
    assert marker
    assert source.endswith(rest)
    assert start.startswith(source.removesuffix(rest))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [("import sys\n", "want a module docstring"), ('"""Doc."""\nfrom __future__ import annotations\n', "__future__")],
)
def test_a_script_that_cannot_be_packed_is_refused(source: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        package.self_contained("job.py", source, b"zip")


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_a_script_without_the_package_says_in_one_line_what_to_submit(script: Path, tmp_path: Path) -> None:
    shutil.copy(script, tmp_path)
    done = run([sys.executable, script.name, "--help"], tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"dist/{script.name}" in done.stderr
    assert "--py-files dist/sentiment.zip" in done.stderr


# One process for them all: what --py-files does for the first it does for the others.
EACH = """
import pathlib, runpy, sys
for script in sorted(pathlib.Path(sys.argv[1]).glob("*.py")):
    sys.argv = [script.name, "--help"]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        assert end.code == 0, (script, end.code)
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_no_script_is_named_like_a_module_of_the_standard_library(script: Path) -> None:
    assert script.stem not in sys.stdlib_module_names


@pytest.mark.spark
@pytest.mark.parametrize("name", NAMES)
def test_spark_submit_starts_every_script_from_an_empty_folder(dist: Dist, name: str, tmp_path: Path) -> None:
    done = submit([*dist.job("self-contained", name), "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {name} ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spark
def test_every_script_finds_the_package_in_py_files(dist: Dist, tmp_path: Path) -> None:
    (tmp_path / "each.py").write_text(EACH, encoding="utf-8")
    done = submit([*dist.job("py-files", "each.py")[:-1], str(tmp_path / "each.py"), str(dist.code)], tmp_path)
    assert done.returncode == 0, done.stderr
    told = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("usage: ")]
    assert told == sorted(NAMES)


@pytest.mark.spark
@pytest.mark.parametrize("form", ["self-contained", "py-files"])
def test_spark_submit_runs_a_job_from_an_empty_folder(dist: Dist, form: str, tmp_path: Path) -> None:
    rows = [
        f'"{target}","{n}","","NO_QUERY","user","tweet {n} of mood {target}"' for n in range(120) for target in (0, 4)
    ]
    (tmp_path / "tweets.csv").write_text("\n".join(rows) + "\n", encoding="latin-1")
    job = dist.job(form, "preprocess.py")
    done = submit([*job, "--input", "tweets.csv", "--output", "clean"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clean" / "data_report.json").is_file()


ASK_A_WORKER = '''"""Ask a worker for the package."""

import sys

from sentiment.session import session


def where(_: int) -> str:
    import sentiment

    return sentiment.__file__


if __name__ == "__main__":
    print(session("ask").sparkContext.parallelize([0], 1).map(where).first())
    print(sys.path[0])
'''


@pytest.mark.spark
def test_a_self_contained_script_takes_the_package_to_the_workers_and_leaves_nothing(tmp_path: Path) -> None:
    packed = packing.zipped(package.CODE / "sentiment")
    (tmp_path / "ask.py").write_text(package.self_contained("ask.py", ASK_A_WORKER, packed), encoding="utf-8")
    done = submit(["ask.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    worker, driver = done.stdout.splitlines()[-2:]
    assert f"/{Path(driver).name}/sentiment/" in worker
    assert Path(driver).name.startswith("sentiment-embedded-")
    assert not Path(driver).parent.exists()


@pytest.mark.spark
def test_a_second_session_of_a_process_may_send_the_package_again(spark: SparkSession) -> None:
    session("first", workers_need_package=True)
    cache = package.CODE / "sentiment" / "__pycache__" / "come-since.pyc"
    cache.parent.mkdir(exist_ok=True)
    cache.write_bytes(b"as Python leaves them")
    try:
        assert session("second", workers_need_package=True) is spark
    finally:
        cache.unlink()
