"""`make package`: the same bytes for the same tree, and scripts that run from an empty folder, one way or the other."""

import ast
import io
import os
import shutil
import sys
import zipfile
from pathlib import Path

import package
import pytest
from started_jobs import FORMS, GATE, NAMES, SCRIPTS, Dist, packed_tree, run, submitted

from sentiment import packing


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Dist:
    return packed_tree(tmp_path_factory.mktemp("packaging"))


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


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", Path("/proc/none")):
        with pytest.raises(SystemExit) as ended:
            package.main(["--output", str(folder)])
        told = f"package.py: error: --output: want a folder to write to, got {folder}: "
        assert str(ended.value.code).startswith(told)


def test_what_a_run_that_was_killed_has_left_is_gone_after_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            package.write_all(package.CODE, tmp_path)
    monkeypatch.setattr(os, "getpid", lambda: 1)  # of another process
    package.write_all(package.CODE, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["sentiment.zip", *NAMES])


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_a_script_without_the_package_says_in_one_line_what_to_submit(script: Path, tmp_path: Path) -> None:
    shutil.copy(script, tmp_path)
    done = run([sys.executable, script.name, "--help"], tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"dist/{script.name}" in done.stderr
    assert "--py-files dist/sentiment.zip" in done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_no_script_is_named_like_a_module_of_the_standard_library(script: Path) -> None:
    assert script.stem not in sys.stdlib_module_names


@pytest.mark.spark
@pytest.mark.parametrize("name", NAMES)
def test_spark_submit_starts_every_script_from_an_empty_folder(dist: Dist, tmp_path: Path, name: str) -> None:
    done = submitted([*dist.job("self-contained", name), "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {name} ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spark
def test_every_script_finds_the_package_in_py_files(dist: Dist, tmp_path: Path) -> None:
    each = str(dist.asking / "each.py")
    done = submitted(["--py-files", str(dist.folder / "sentiment.zip"), each, str(dist.code)], tmp_path)
    assert done.returncode == 0, done.stderr
    told = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("usage: ")]
    assert told == sorted(NAMES)


@pytest.mark.spark
@pytest.mark.parametrize("given", [True, False], ids=["given the package too", "on its own"])
def test_a_script_of_the_checkout_starts_sessions_on_a_cluster(dist: Dist, tmp_path: Path, given: bool) -> None:
    script = tmp_path / "of_the_checkout.py"
    start = f"import sys\nsys.path.insert(0, {str(package.CODE)!r})\nfrom sentiment.session import session\n"
    once = 'print("started", session("checkout", workers_need_package=True).version)\n'
    script.write_text(start + once + once, "utf-8")
    on_a_cluster = ["--master", "local-cluster[1,1,1024]"]  # a local master would serve no files
    with_package = ["--py-files", str(dist.folder / packing.NAME)] if given else []
    done = submitted([*on_a_cluster, *with_package, str(script)], tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.count("started ") == 2


@pytest.mark.spark
@pytest.mark.parametrize("form", FORMS)
def test_spark_submit_runs_a_job_from_an_empty_folder(dist: Dist, tmp_path: Path, form: str) -> None:
    rows = [
        f'"{target}","{n}","","NO_QUERY","user","tweet {n} of mood {target}"' for n in range(120) for target in (0, 4)
    ]
    (tmp_path / "tweets.csv").write_text("\n".join(rows) + "\n", encoding="latin-1")
    done = submitted([*dist.job(form, "preprocess.py"), "--input", "tweets.csv", "--output", "clean"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clean" / "data_report.json").is_file()


@pytest.mark.spark
def test_a_self_contained_script_takes_the_package_to_the_workers_and_leaves_nothing(
    dist: Dist, tmp_path: Path
) -> None:
    done = submitted([str(dist.asking / "ask.py")], tmp_path)
    assert done.returncode == 0, done.stderr
    worker, driver = done.stdout.splitlines()[-2:]
    assert f"/{Path(driver).name}/sentiment/" in worker
    assert Path(driver).name.startswith("sentiment-embedded-")
    assert not Path(driver).parent.exists()
