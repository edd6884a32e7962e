"""`make setup` and `make run` before any job starts: what is checked, what is said, what is made."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

LOCAL = Path(__file__).resolve().parent.parent / "local"
BASH = shutil.which("bash") or "/bin/bash"

JAVA_17 = """echo 'openjdk version "17.0.15" 2025-04-15' >&2"""
JAVA_17_WITH_OPTIONS = f"echo 'Picked up JAVA_TOOL_OPTIONS: -Xmx1g' >&2\n{JAVA_17}"
JAVA_11 = """echo 'openjdk version "11.0.2" 2019-01-15' >&2"""
JAVA_8 = """echo 'java version "1.8.0_372"' >&2"""
MACOS_STUB = "echo 'The operation could not be completed. Unable to locate a Java Runtime.' >&2; exit 1"
PYTHON_311 = 'case "$2" in *version_info*) echo 3.11.9 ;; esac'
PYTHON_312 = 'case "$2" in *version_info*) echo 3.12.1 ;; esac'
WITHOUT_VENV = 'case "$2" in *version_info*) echo 3.11.2 ;; *) exit 1 ;; esac'
IDLE_SHIM = "echo 'pyenv: python3.11: command not found' >&2; exit 127"

# A Python that can make environments with itself inside, and an installer that writes down what it was asked to do.
INSTALLING_PYTHON = r"""
case "$*" in
  *version_info*) echo 3.11.9 ;;
  "-m venv "*) echo venv >>log; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  "-m pip install"*) printf '%s\n' '#!/bin/sh' 'echo install >>log' \
    'while [ -e held ]; do sleep 0.05; done' '[ ! -e broken ]' >"${0%/*}/uv"; chmod +x "${0%/*}/uv" ;;
  "-m pip config"*) exit 1 ;;
esac
"""


def executable(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)


class Checkout:
    """A copy of local/ with a PATH of its own, on which lies only what a test puts there."""

    def __init__(self, root: Path) -> None:
        self.root = root / "checkout"
        self.bin = root / "bin"
        shutil.copytree(LOCAL, self.root / "local")
        self.bin.mkdir()
        self.requirements = self.root / "requirements.txt"
        self.requirements.write_text("pyspark==4.0.0\n", encoding="utf-8")

    def link(self, *tools: str) -> None:
        for tool in tools:
            (self.bin / tool).symlink_to(shutil.which(tool) or pytest.skip(f"no {tool} here"))

    def start(self, script: str, *args: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [BASH, f"local/{script}", *args],
            cwd=self.root,
            env={"PATH": str(self.bin), **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        with self.start(script, *args, **env) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def log(self) -> list[str]:
        """What the fake executables wrote down since the last call."""
        path = self.root / "log"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


JDK = "set JAVA_HOME to a JDK 17"
OTHER_PYTHON = "set PYTHON to a Python 3.11"


@pytest.mark.parametrize(
    ("tools", "env", "line"),
    [
        ({"java": JAVA_11}, {}, f"want Java 17, found Java 11 (BIN/java); {JDK}"),
        ({"java": JAVA_8}, {}, f"want Java 17, found Java 8 (BIN/java); {JDK}"),
        ({}, {}, f"want Java 17, found none on PATH; {JDK}"),
        ({"java": MACOS_STUB}, {}, f"want Java 17, found none (BIN/java runs no Java); {JDK}"),
        (
            {"java": JAVA_17},
            {"JAVA_HOME": "/nowhere"},
            f"want Java 17, found none (JAVA_HOME=/nowhere has no bin/java); {JDK}",
        ),
        (
            {"java": JAVA_17, "python3": PYTHON_312},
            {},
            f"want Python 3.11, found Python 3.12.1 (BIN/python3); {OTHER_PYTHON}",
        ),
        ({"java": JAVA_17}, {}, f"want Python 3.11, found none; {OTHER_PYTHON}"),
        (
            {"java": JAVA_17, "python3.11": PYTHON_311},
            {"PYTHON": "python9"},
            f"want Python 3.11, found none (PYTHON=python9); {OTHER_PYTHON}",
        ),
        (
            {"java": JAVA_17, "python3.11": WITHOUT_VENV},
            {},
            "want Python 3.11, found Python 3.11.2 without its venv module (BIN/python3.11); "
            "on Debian and Ubuntu install python3.11-venv",
        ),
    ],
)
def test_a_wrong_java_or_python_gets_one_line_and_leaves_nothing(
    checkout: Checkout, tools: dict[str, str], env: dict[str, str], line: str
) -> None:
    for name, body in tools.items():
        executable(checkout.bin / name, body)
    before = sorted(checkout.root.rglob("*"))
    done = checkout.run("setup.sh", **env)
    assert done.stderr == f"setup: {line.replace('BIN', str(checkout.bin))}\n"
    assert (done.returncode, done.stdout) == (1, "")
    assert sorted(checkout.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("tools", "env", "python", "java"),
    [
        ({"python3.11": PYTHON_311, "python3": PYTHON_312, "java": JAVA_17}, {}, "3.11.9 (BIN/python3.11)", "BIN/java"),
        ({"python3.11": IDLE_SHIM, "python": PYTHON_311, "java": JAVA_17}, {}, "3.11.9 (BIN/python)", "BIN/java"),
        (
            {"python3": PYTHON_312, "my python": PYTHON_311, "java": JAVA_17_WITH_OPTIONS},
            {"PYTHON": "my python"},
            "3.11.9 (BIN/my python)",
            "BIN/java",
        ),
        (
            {"python3.11": PYTHON_311, "java": JAVA_11, "jdk 17/bin/java": JAVA_17},
            {"JAVA_HOME": "BIN/jdk 17"},
            "3.11.9 (BIN/python3.11)",
            "BIN/jdk 17/bin/java",
        ),
    ],
)
def test_check_names_the_python_and_the_java_that_setup_takes(
    checkout: Checkout, tools: dict[str, str], env: dict[str, str], python: str, java: str
) -> None:
    for name, body in tools.items():
        executable(checkout.bin / name, body)
    done = checkout.run("setup.sh", "--check", **{key: at(checkout, value) for key, value in env.items()})
    assert done.stdout == at(checkout, f"setup: Python {python}, Java 17 ({java})\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (checkout.root / ".venv").exists()


def at(checkout: Checkout, text: str) -> str:
    return text.replace("BIN", str(checkout.bin))


@pytest.fixture
def bare(checkout: Checkout) -> Checkout:
    """A checkout without an environment, on a machine that can make one."""
    executable(checkout.bin / "java", JAVA_17)
    executable(checkout.bin / "python3.11", INSTALLING_PYTHON)
    checkout.link("mkdir", "rmdir", "cp", "rm", "sed", "cksum", "chmod", "sleep")
    return checkout


@pytest.mark.parametrize("words", [["run"], ["dev"]])
def test_of_two_at_once_the_second_waits_and_finds_it_made(bare: Checkout, words: list[str]) -> None:
    (bare.root / "requirements-dev.txt").write_text("pytest\n", encoding="utf-8")
    if words == ["dev"]:
        assert bare.run("setup.sh").returncode == 0
        bare.log()
    held = bare.root / "held"
    held.touch()
    with bare.start("setup.sh", *words) as first:
        until = time.monotonic() + 30
        while not (bare.root / "log").exists() or "install" not in (bare.root / "log").read_text(encoding="utf-8"):
            assert time.monotonic() < until
            time.sleep(0.02)
        with bare.start("setup.sh") as second:
            assert second.stdout is not None
            line = second.stdout.readline()
            held.unlink()
            out, err = second.communicate(timeout=60)
        assert (second.returncode, out, err) == (0, "", "")
        first.communicate(timeout=60)
    assert line == f"setup: another set-up is at work (pid {first.pid}, its lock is .venv.lock): waiting for it\n"
    assert (first.returncode, bare.log()) == (0, ["venv", "install"] if words == ["run"] else ["install"])
    assert not (bare.root / ".venv.lock").exists()


def test_the_lock_of_a_set_up_that_was_killed_keeps_nobody_waiting(bare: Checkout) -> None:
    with subprocess.Popen([BASH, "-c", ":"]) as dead:
        dead.wait()
    (bare.root / ".venv.lock").mkdir()
    (bare.root / ".venv.lock" / "pid").write_text(f"{dead.pid}\n", encoding="utf-8")
    done = bare.run("setup.sh")
    assert (done.returncode, done.stderr, "waiting" in done.stdout) == (0, "", False)
    assert bare.log() == ["venv", "install"]
    assert not (bare.root / ".venv.lock").exists()


def test_an_environment_of_the_user_s_own_is_left_alone(bare: Checkout) -> None:
    executable(bare.root / ".venv" / "bin" / "python", "")
    done = bare.run("setup.sh")
    line = "want .venv to be an environment that this script made, found another; move it elsewhere or remove it"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"setup: {line}\n")
    assert (bare.root / ".venv" / "bin" / "python").exists()
    assert not (bare.root / ".venv.lock").exists()


def test_an_environment_is_made_once_and_a_half_done_one_never_used(bare: Checkout) -> None:
    (bare.root / "broken").touch()
    assert bare.run("setup.sh").returncode != 0
    assert bare.log() == ["venv", "install"]
    (bare.root / "broken").unlink()
    again = bare.run("setup.sh")
    assert (again.returncode, again.stderr) == (0, "")
    assert "half done" in again.stdout
    assert bare.log() == ["venv", "install"]

    third = bare.run("setup.sh")
    assert (third.returncode, third.stdout + third.stderr) == (0, "")
    assert bare.log() == []

    bare.requirements.write_text("pyspark==4.0.1\n", encoding="utf-8")
    assert bare.run("setup.sh").returncode == 0
    assert bare.log() == ["install"]

    moved = bare.root.with_name("moved")
    bare.root.rename(moved)
    bare.root = moved
    assert bare.run("setup.sh").returncode == 0
    assert bare.log() == ["venv", "install"]


RUNS = [
    "code/preprocess.py --input {data} --output data_clean/",
    "code/create_splits.py --input data_clean/ --output data_clean/splits/",
    "code/train_and_log.py --data data_clean/splits/",
    "ci-cd/promote-model.py",
]
SAMPLE = "code/sample_tweets.py --rows 20000 --output data_raw/sample/".replace(" ", ",")


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    """A checkout whose set-up is done and whose Python looks for tweets, and writes down what else it is to run."""
    executable(checkout.root / "local" / "setup.sh", "echo setup >>log")
    looking = f'case $1 in */raw_files.py) exec {sys.executable} {LOCAL.parent}/"$@" ;; esac'
    executable(
        checkout.root / ".venv" / "bin" / "python",
        f'{looking}\nIFS=","; echo "$*" >>log\n[ "$1" != "${{FAIL:-}}" ] || exit ${{FAIL_CODE:-7}}',
    )
    return checkout


def runs(data: str) -> list[str]:
    return [line.replace(" ", ",").format(data=data) for line in RUNS]  # as the fake Python notes its arguments


def test_data_that_is_not_there_is_told_before_anything_else(ready: Checkout) -> None:
    done = ready.run("run.sh", DATA="no/such.csv")
    line = "run: want DATA to name a CSV file or a folder of them, found nothing at no/such.csv\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
    assert ready.log() == []


def test_data_is_what_the_jobs_read(ready: Checkout) -> None:
    (ready.root / "my tweets.csv").touch()
    data = f"{ready.root}/my tweets.csv"
    done = ready.run("run.sh", DATA="my tweets.csv", TRAIN_ARGS="--models gbt --seed 1")
    assert done.returncode == 0
    *before, train, gate = runs(data)
    assert ready.log() == ["setup", *before, f"{train},--models,gbt,--seed,1", gate]


def test_the_gate_looks_where_the_training_registered_and_may_keep_the_champion(ready: Checkout) -> None:
    (ready.root / "tweets.csv").touch()
    arguments = "--registered-model-name mine --mlflow-uri sqlite:///m.db --seed 1 --ledger=there"
    keeping = {"FAIL": "ci-cd/promote-model.py", "FAIL_CODE": "3"}
    done = ready.run("run.sh", DATA="tweets.csv", TRAIN_ARGS=arguments, GATE_ARGS="--dry-run", **keeping)
    assert done.returncode == 0
    where = "--model-name,mine-best,--mlflow-uri,sqlite:///m.db,--ledger=there"
    assert ready.log()[-1] == f"ci-cd/promote-model.py,{where},--dry-run"
    assert ready.run("run.sh", DATA="tweets.csv", FAIL="ci-cd/promote-model.py", FAIL_CODE="1").returncode == 1


def test_training_and_gate_mean_one_registry_whatever_settings_of_a_cloud_lie_there(ready: Checkout) -> None:
    (ready.root / "tweets.csv").touch()
    executable(ready.root / ".venv" / "bin" / "python", 'echo "$MLFLOW_TRACKING_URI" >>log')
    assert ready.run("run.sh", DATA="tweets.csv").returncode == 0
    assert ready.log() == ["setup", *["sqlite:///mlflow.db"] * 4]
    assert ready.run("run.sh", DATA="tweets.csv", MLFLOW_TRACKING_URI="http://here").returncode == 0
    assert ready.log() == ["setup", *["http://here"] * 4]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], [SAMPLE, *runs("data_raw/sample")]),
        (["sample_100.csv", "notes.txt"], [SAMPLE, *runs("data_raw/sample")]),
        (["sample_100.csv", "tweets.csv.gz"], runs("data_raw/sentiment140")),
        (["training.csv"], runs("data_raw/sentiment140")),
        (["of 2009/sample_of_all.CSV"], runs("data_raw/sentiment140")),
        ([".hidden.csv", "_old/a.csv", "a.csv.bak", "x.csv/notes.txt"], [SAMPLE, *runs("data_raw/sample")]),
    ],
)
def test_without_data_it_takes_the_real_tweets_or_makes_a_sample(
    ready: Checkout, files: list[str], expected: list[str]
) -> None:
    folder = ready.root / "data_raw" / "sentiment140"
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    done = ready.run("run.sh")
    assert (done.returncode, done.stderr) == (0, "")
    assert ready.log() == ["setup", *expected]
    assert ("no DATA" in done.stdout) == (SAMPLE in expected)


def test_a_step_that_fails_ends_the_run_with_its_code(ready: Checkout) -> None:
    (ready.root / "tweets.csv").touch()
    done = ready.run("run.sh", DATA="tweets.csv", FAIL="code/create_splits.py")
    assert done.returncode == 7
    assert ready.log() == ["setup", *runs(f"{ready.root}/tweets.csv")[:2]]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
def test_a_report_is_on_the_predictions_of_the_services_of_this_shell(ready: Checkout) -> None:
    shutil.copy(LOCAL.parent / "Makefile", ready.root)
    for env, predictions in [
        ({}, ".local/serving/predictions"),
        ({"SENTIMENT_LOCAL": "/mine"}, "/mine/serving/predictions"),
        ({"SENTIMENT_LOCAL": "/mine", "PREDICTIONS": "gs://p"}, "gs://p"),
    ]:
        subprocess.run(["make", "report"], cwd=ready.root, env={"PATH": os.environ["PATH"], **env}, check=True)
        report = f"monitoring/report.py,--predictions,{predictions},--output,.local/report"
        assert ready.log() == ["setup", report]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
@pytest.mark.parametrize("target", ["promote", "rollback", "history", "drain", "report", "package", "bench"])
def test_only_targets_that_take_gs_may_look_for_credentials_on_a_machine_of_google_s(
    ready: Checkout, target: str
) -> None:
    shutil.copy(LOCAL.parent / "Makefile", ready.root)
    executable(ready.root / ".venv" / "bin" / "python", 'echo "${NO_GCE_CHECK:-looks}" >>log')
    for said, found in ({}, "looks"), ({"NO_GCE_CHECK": "true"}, "true"):
        subprocess.run(["make", target], cwd=ready.root, env={"PATH": os.environ["PATH"], **said}, check=True)
        assert ready.log() == ["setup", "true" if target in ("package", "bench") else found]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
def test_make_help_lists_every_target() -> None:
    root = LOCAL.parent
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    phony = next(line for line in makefile.splitlines() if line.startswith(".PHONY:")).split()[1:]
    env = {"PATH": os.environ["PATH"]}  # without the flags that a make above this one hands down
    done = subprocess.run(["make"], cwd=root, env=env, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == phony
