"""The init action and build-environment.sh, run for real: downloads from the local store, all under a prefix."""

import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path

import pyspark
import pytest
from buckets import Store
from cloud_shell import Shell
from gcs_service import Gcs
from local_miniconda import write_installer, write_wheel
from services import ROOT

BUCKET = "sentiment-bucket-code"
ACTION = ROOT / "ci-cd" / "init-actions" / "init-conda-spark-nlp-mlflow.sh"
PACKAGES = ("kafka-python", "psutil", "pyyaml")
METADATA_TOOL = """\
#!/bin/sh
# As on a Compute Engine machine: attributes/KEY to its value, exit 1 where there is none.
exec cat "${0%/*}/$1"
"""
PROBE = """
import os, sys
from pyspark import SparkContext
sc = SparkContext(master="local[1]")
def look(_):
    import psutil
    return [sys.executable, psutil.__file__, os.environ["PYSPARK_PYTHON"]]
print("DRIVER", sys.executable)
print("EXECUTOR", *sc.parallelize([0], 1).flatMap(look).collect())
"""


class Machine:
    """A root directory with Spark's configuration and the metadata of a cluster."""

    def __init__(self, root: Path, shell: Shell, **metadata: str) -> None:
        self.root, self.shell = root, shell
        self.conf = root / "etc" / "spark" / "conf"
        self.conf.mkdir(parents=True)
        (self.conf / "spark-defaults.conf").write_text("spark.ui.enabled false\n", encoding="utf-8")
        self.attributes = root / "usr" / "share" / "google" / "attributes"
        self.attributes.mkdir(parents=True)
        tool = self.attributes.parent / "get_metadata_value"
        tool.write_text(METADATA_TOOL, encoding="utf-8")
        tool.chmod(0o755)
        self.python = root / "opt" / "sentiment" / "environment" / "bin" / "python"
        self.metadata = metadata

    def start(self, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run the action, with some of the metadata changed for this once."""
        for key, value in {**self.metadata, **changed}.items():
            (self.attributes / key).write_text(value, encoding="utf-8")
        return self.shell.run("bash", ACTION, PREFIX=str(self.root))

    def configuration(self) -> dict[str, str]:
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(self.conf.iterdir())}


@pytest.fixture(scope="module")
def metadata(gcs: Gcs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The metadata of a cluster without internet, and what it names in the store."""
    folder = tmp_path_factory.mktemp("offline")
    installer = folder / "miniconda.sh"
    write_installer(installer, folder / "tree")
    (folder / "wheels").mkdir()
    wheels = [write_wheel(name, folder / "wheels") for name in PACKAGES]
    pins = "".join(f"{wheel.name.split('-')[0]}=={wheel.name.split('-')[1]}\n" for wheel in wheels)
    with Store(gcs.port) as store:
        store.write(BUCKET, "offline/miniconda.sh", installer.read_bytes())
        store.write(BUCKET, "offline/requirements.txt", f"# pinned\n{pins}".encode())
        for wheel in wheels:
            store.write(BUCKET, f"offline/wheels/{wheel.name}", wheel.read_bytes())
    return {
        "MINICONDA_GCS_URI": f"gs://{BUCKET}/offline/miniconda.sh",
        "MINICONDA_SHA256": hashlib.sha256(installer.read_bytes()).hexdigest(),
        "REQUIREMENTS_GCS_URI": f"gs://{BUCKET}/offline/requirements.txt",
        "WHEELS_GCS_URI": f"gs://{BUCKET}/offline/wheels",
    }


@pytest.fixture(scope="module")
def shell(gcs: Gcs, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("shell"), gcs)


@pytest.fixture(scope="module")
def machine(metadata: dict[str, str], shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine that was set up once."""
    made = Machine(tmp_path_factory.mktemp("machine"), shell, **metadata)
    done = made.start()
    assert (done.returncode, done.stderr) == (0, "")
    steps = [line.split(" init-action: ")[1].split()[0] for line in done.stdout.splitlines()]
    assert steps == ["fetching", "installing", "fetching", "fetching", "installing", "Spark's", "done"]
    return made


def test_the_packages_are_there_and_pyspark_is_the_images_own(machine: Machine) -> None:
    code = "import kafka, psutil, yaml, sys, importlib.util; print(sys.prefix, importlib.util.find_spec('pyspark'))"
    done = machine.shell.run(machine.python, "-I", "-c", code)
    assert done.stdout.split() == [str(machine.root / "opt" / "sentiment" / "environment"), "None"], done.stderr


def test_sparks_driver_and_executors_take_the_interpreter(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE, encoding="utf-8")
    submit = Path(sys.executable).with_name("spark-submit")
    home = str(Path(pyspark.__file__).parent)
    done = machine.shell.run(submit, tmp_path / "probe.py", SPARK_HOME=home, SPARK_CONF_DIR=str(machine.conf))
    packages = machine.root / "opt/sentiment/environment/lib/python3.11/site-packages"
    assert done.stdout.splitlines() == [
        f"DRIVER {machine.python}",
        f"EXECUTOR {machine.python} {packages}/psutil/__init__.py {machine.python}",
    ], done.stderr[-3000:]


def test_a_second_run_changes_nothing(machine: Machine) -> None:
    before, made = machine.configuration(), machine.python.lstat().st_mtime_ns
    assert "spark.ui.enabled false" in before["spark-defaults.conf"]
    done = machine.start()
    assert (done.returncode, done.stderr) == (0, "")
    assert "the interpreter is there already" in done.stdout
    assert "the packages are there already" in done.stdout
    assert machine.configuration() == before
    assert machine.python.lstat().st_mtime_ns == made


def test_new_packages_that_cannot_be_fetched_leave_the_old_ones(machine: Machine, gcs: Gcs) -> None:
    with Store(gcs.port) as store:
        store.write(BUCKET, "offline/newer.txt", b"psutil==99\n")
    absent = {"REQUIREMENTS_GCS_URI": f"gs://{BUCKET}/offline/newer.txt", "WHEELS_GCS_URI": f"gs://{BUCKET}/absent"}
    done = machine.start(**absent)
    assert done.returncode == 1
    assert "want wheels under WHEELS_GCS_URI" in done.stderr
    assert machine.shell.run(machine.python, "-I", "-c", "import psutil").returncode == 0


@pytest.fixture(scope="module")
def spare(metadata: dict[str, str], shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine for what goes wrong; its interpreter stays, its packages never come to be."""
    return Machine(tmp_path_factory.mktemp("spare"), shell, **metadata)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("MINICONDA_GCS_URI", f"gs://{BUCKET}/absent.sh", f"want Miniconda at gs://{BUCKET}/absent.sh, found: "),
        ("MINICONDA_SHA256", "0" * 64, f"want Miniconda with SHA-256 {'0' * 64}, found "),
        (
            "REQUIREMENTS_GCS_URI",
            "",
            "want the metadata key REQUIREMENTS_GCS_URI to name the pinned packages, found none",
        ),
        ("REQUIREMENTS_GCS_URI", "pyspark==4.0.0", "without pyspark, which would hide the image's own, found it there"),
        ("REQUIREMENTS_GCS_URI", "tqdm==4.67.1", "ERROR: No matching distribution found for tqdm==4.67.1"),
        ("REQUIREMENTS_GCS_URI", "retry==1", "ERROR: No matching distribution found for retry==1"),
        ("WHEELS_GCS_URI", f"gs://{BUCKET}/absent", f"want wheels under WHEELS_GCS_URI gs://{BUCKET}/absent, found: "),
    ],
)
def test_what_cannot_be_installed_is_one_line_and_spark_stays_as_it_was(
    spare: Machine, gcs: Gcs, key: str, value: str, line: str
) -> None:
    before = spare.configuration()
    given = value
    if "==" in value:
        with Store(gcs.port) as store:
            store.write(BUCKET, "offline/other.txt", f"{value}\n".encode())
        given = f"gs://{BUCKET}/offline/other.txt"
    done = spare.start(**{key: given})
    assert done.returncode == 1
    assert line in done.stderr
    assert done.stderr.count("\n") == 1
    assert spare.configuration() == before


def test_a_list_with_gaps_is_refused(spare: Machine, gcs: Gcs, tmp_path: Path) -> None:
    wheel = write_wheel("cffi", tmp_path)
    with Store(gcs.port) as store:
        store.write(BUCKET, f"gaps/{wheel.name}", wheel.read_bytes())
        store.write(BUCKET, "gaps/list.txt", f"cffi=={wheel.name.split('-')[1]}\n".encode())
    done = spare.start(REQUIREMENTS_GCS_URI=f"gs://{BUCKET}/gaps/list.txt", WHEELS_GCS_URI=f"gs://{BUCKET}/gaps")
    assert done.returncode == 1
    assert "want a complete list of packages" in done.stderr
    assert "cffi" in done.stderr
    assert "requires pycparser" in done.stderr


def test_the_archive_runs_wherever_it_is_unpacked(
    shell: Shell, metadata: dict[str, str], gcs: Gcs, tmp_path: Path
) -> None:
    requirements = tmp_path / "requirements.txt"
    with Store(gcs.port) as store:
        requirements.write_bytes(store.read(BUCKET, "offline/requirements.txt"))
    archive, elsewhere = tmp_path / "environment.tar.gz", tmp_path / "else where"
    settings = {name: value for name, value in metadata.items() if name != "REQUIREMENTS_GCS_URI"}
    done = shell.run(
        "ci-cd/build-environment.sh",
        "--output",
        archive,
        "--requirements",
        requirements,
        "--upload",
        **settings,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with tarfile.open(archive) as packed:
        packed.extractall(elsewhere, filter="tar")
    code = "import kafka, psutil, ssl, yaml, sys; print(sys.prefix); print(psutil.__file__)"
    found = shell.run(elsewhere / "bin" / "python", "-I", "-c", code)
    packages = elsewhere / "lib" / "python3.11" / "site-packages"
    assert found.stdout.splitlines() == [str(elsewhere), f"{packages}/psutil/__init__.py"], found.stderr
    (word,) = [word for word in done.stdout.split() if word.endswith("#environment")]
    uri = word.removesuffix("#environment")
    with Store(gcs.port) as store:
        assert store.read(BUCKET, uri.removeprefix(f"gs://{BUCKET}/")) == archive.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("--output", "x.zip"), 2, "want --output to end in .tar.gz, found x.zip"),
        (
            ("--requirements", "absent.txt"),
            2,
            "want --requirements to name a file of pinned packages, found nothing at absent.txt",
        ),
    ],
)
def test_wrong_arguments_of_build_environment_are_one_line(
    shell: Shell, arguments: tuple[str, ...], code: int, line: str
) -> None:
    done = shell.run("ci-cd/build-environment.sh", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"build-environment: {line}\n")


def test_a_file_whose_last_line_does_not_end_keeps_that_line(tmp_path: Path) -> None:
    function = next(part for part in ACTION.read_text(encoding="utf-8").split("\n\n") if "write_block() {" in part)
    file = tmp_path / "spark-defaults.conf"
    file.write_text("spark.executor.memory 4g", encoding="utf-8")
    for value in ("old", "new"):
        script = f'set -euo pipefail\nwork=.\n{function}\nwrite_block {file.name} "spark.pyspark.python {value}"'
        subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True)
    block = "# >>> sentiment suite\nspark.pyspark.python new\n# <<< sentiment suite\n"
    assert file.read_text(encoding="utf-8") == f"spark.executor.memory 4g\n{block}"
