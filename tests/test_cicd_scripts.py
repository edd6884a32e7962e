"""The scripts of ci-cd/ before they ask anything of a cloud: help, settings, what they would do."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sentiment_dags import models, staging
from services import ROOT

from sentiment.jobs import without_secrets

SCRIPTS = ["train-model.sh", "deploy-serving.sh", "smoke-test.sh"]
SETTINGS = {
    "PROJECT_ID": "acme",
    "MLFLOW_TRACKING_URI": "http://reader:hush@mlflow.internal:5000",
    "KAFKA_BOOTSTRAP": "broker.internal:9092",
}

GCLOUD = """\
#!/bin/sh
# The cloud of a stream that runs, with another output topic.
echo "$*" >>{calls}
case $* in
  *' clusters describe '*) echo RUNNING ;;
  *' jobs list '*) echo serving-s-0-1,RUNNING,0,0,2026-11-30T10:00:00Z,2026-11-30T10:00:00Z,sentiment-cluster ;;
  *' storage ls --long '*) exit 1 ;;
  *' storage cat '*/settings.json) echo '{{"--source-type": "kafka", "--kafka-output-topic": "old"}}' ;;
  *pysparkJob.args*) printf -- '--checkpoint\ngs://sentiment-bucket-checkpoint/checkpoint/s\n' ;;
  *' jobs describe '*) echo DONE ;;
esac
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH without gcloud."""
    folder = tmp_path / "bin"
    folder.mkdir()
    tools = "bash cut date env git grep mktemp perl rm sed uname sha256sum shasum tail tr xargs"
    for tool in tools.split():
        if found := shutil.which(tool):
            (folder / tool).symlink_to(found)
    (folder / "python3").symlink_to(sys.executable)
    return str(folder)


def run(path: str, script: str, *words: str, **settings: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr in a shell that has these settings only, also where the checkout has a ci-cd/env."""
    return run_at(ROOT, path, ROOT / "ci-cd" / script, *words, **settings)


def run_at(cwd: Path, path: str, script: Path, *words: str, **settings: str) -> tuple[int, str, str]:
    """The same in another folder, or of another checkout."""
    done = subprocess.run(
        [str(script), *words],
        env={"PATH": path, "SENTIMENT_LOCAL_ENV": "1", **settings},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("script", [*SCRIPTS, "test-cicd.sh"])
def test_help_says_what_a_script_does(path: str, script: str) -> None:
    code, out, err = run(path, script, "--help")
    assert (code, err) == (0, "")
    assert f"ci-cd/{script}" in out or "make test-cicd" in out
    assert "#" not in out.splitlines()[0]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--strange"], "want the arguments that --help lists, found --strange"),
        (["--env"], "want a value after --env, found none"),
        (["--env", "/nowhere/env"], "want --env to name a file of settings, found nothing at /nowhere/env"),
    ],
)
def test_a_wrong_argument_is_one_line(path: str, script: str, words: list[str], line: str) -> None:
    assert run(path, script, *words, **SETTINGS) == (2, "", f"{script.removesuffix('.sh')}: {line}\n")


@pytest.mark.parametrize(
    ("script", "words", "missing", "named"),
    [
        ("train-model.sh", [], "MLFLOW_TRACKING_URI", "want MLFLOW_TRACKING_URI, found nothing"),
        ("train-model.sh", [], "PROJECT_ID", "want PROJECT_ID to name the project, found nothing"),
        ("deploy-serving.sh", [], "KAFKA_BOOTSTRAP", "want KAFKA_BOOTSTRAP, found nothing"),
        ("deploy-serving.sh", ["--stream", "Über"], "", "want --stream to be 1 to 60 of a-z"),
        ("deploy-serving.sh", ["--source", "pubsub"], "", "want --source kafka or file, found pubsub"),
        (
            "deploy-serving.sh",
            ["--timeout", "soon"],
            "",
            "want --timeout to be a whole number of seconds above 0, found",
        ),
        (
            "deploy-serving.sh",
            ["--timeout", "0"],
            "",
            "want --timeout to be a whole number of seconds above 0, found 0",
        ),
        (
            "deploy-serving.sh",
            ["--timeout", "09"],
            "",
            "above 0, without a leading 0 and of at most 9 digits, found 09",
        ),
        ("create-cluster.sh", ["--workers", "9" * 20], "", "at least 2, without a leading 0 and of at most 9 digits"),
        ("create-cluster.sh", ["--spot-workers", "010"], "", "a whole number, without a leading 0 and of at most 9"),
        (
            "delete-cluster.sh",
            ["--wait", "0600"],
            "",
            "seconds, without a leading 0 and of at most 9 digits, found 0600",
        ),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    path: str, script: str, words: list[str], missing: str, named: str
) -> None:
    settings = {name: value for name, value in SETTINGS.items() if name != missing}
    code, out, err = run(path, script, *words, **settings)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert named in err


@pytest.mark.parametrize("name", ["--help", "Prod", "9lives", "a_b", "a-"])
def test_a_name_that_no_cluster_can_have_is_refused(path: str, name: str) -> None:
    code, out, err = run(path, "delete-cluster.sh", "--dry-run", **{**SETTINGS, "CLUSTER": name})
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert re.fullmatch(rf"delete-cluster: want CLUSTER to be a-z, 0-9 and -.*, found {name}\n", err)


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("RUNNING", ""),
        ("UPDATING", ""),
        ("", "found c nowhere; ci-cd/create-cluster.sh makes one"),
        ("CREATING", "found c CREATING; ci-cd/create-cluster.sh waits until it takes jobs"),
        ("STOPPED", "found c STOPPED; gcloud --project=p dataproc clusters start c --region=r starts it"),
        ("DELETING", "found c DELETING; try again when it has ended"),
        ("ERROR", "found c ERROR; ci-cd/delete-cluster.sh removes it, then ci-cd/create-cluster.sh makes one"),
    ],
)
def test_jobs_go_to_a_cluster_that_runs_or_is_growing_else_what_helps_is_told(path: str, state: str, line: str) -> None:
    settings = "NAME=t PROJECT_ID=p REGION=r CLUSTER=c; . ci-cd/lib.sh"
    script = f"{settings}; find_cluster() {{ cluster_state=$STATE; }}; need_cluster"
    env = {"PATH": path, "STATE": state}
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    told = f"t: want CLUSTER to name a running cluster in r, {line}\n" if line else ""
    assert (done.returncode, done.stderr) == (int(bool(line)), told)


@pytest.mark.parametrize(
    ("states", "code", "last"),
    [
        (["CREATING", "CREATING", "RUNNING"], 0, "cluster c is there already in us-central1: RUNNING"),
        (["STARTING", "REPAIRING", "UPDATING"], 0, "cluster c is there already in us-central1: UPDATING"),
        (["CREATING", "ERROR"], 1, "want no cluster c in us-central1 or a running one, found it ERROR; "),
    ],
)
def test_a_cluster_that_takes_no_jobs_yet_is_waited_for(
    tmp_path: Path, states: list[str], code: int, last: str
) -> None:
    (tmp_path / "states").write_text("\n".join([*states, ""]), encoding="utf-8")
    answers = f"cd {tmp_path}; echo asked >>calls; sed -n $(grep -c . calls)p states"
    for name, does in (("gcloud", answers), ("sleep", "")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    found, out, err = run(f"{tmp_path}:{os.environ['PATH']}", "create-cluster.sh", PROJECT_ID="acme", CLUSTER="c")
    assert found == code
    assert out.count("; waiting until it takes jobs\n") == len(set(states[:-1]))  # a line for each state
    assert (err if code else out).splitlines()[-1].startswith(f"create-cluster: {last}")


def test_gcloud_is_named_where_it_is_missing(path: str) -> None:
    for script in ("train-model.sh", "deploy-serving.sh", "test-cicd.sh"):
        code, out, err = run(path, script, **SETTINGS)
        assert (code, out) == (1, "")
        assert err == f"{script.removesuffix('.sh')}: want gcloud on PATH, found none\n"


def test_a_dry_run_shows_the_commands_and_needs_no_gcloud(path: str) -> None:
    code, out, err = run(path, "deploy-serving.sh", "--dry-run", "--", "--batch-interval-seconds", "5", **SETTINGS)
    assert (code, err) == (0, "")
    make, cp, submit = [line for line in out.splitlines() if not line.startswith("deploy-serving: ")]
    assert make == "make package"
    assert cp.startswith("gcloud --project=acme --quiet storage cp dist/streaming_serving_mlflow_hdfs_kafka.py ")
    assert submit.startswith(
        "gcloud --project=acme --quiet dataproc jobs submit pyspark gs://sentiment-bucket-code/code/"
    )
    flags, _, arguments = submit.partition(" -- ")
    assert "--max-failures-per-hour=10" in flags
    assert "--async" in flags
    assert arguments.endswith("--kafka-output-topic sentiment-predictions --batch-interval-seconds 5")
    assert "hush" not in out
    code, out, err = run(path, "train-model.sh", "--dry-run", **SETTINGS)
    assert (code, err) == (0, "")
    assert [line.split()[:5] for line in out.splitlines()[-2:]] == [
        ["gcloud", "--project=acme", "--quiet", "dataproc", "jobs"]
    ] * 2
    assert "hush" not in out


def test_the_output_of_a_training_may_end_in_slashes(path: str) -> None:
    words = ["--dry-run", "--output", "gs://mine/run//"]
    code, out, err = run(path, "train-model.sh", *words, **SETTINGS)
    assert (code, err) == (0, "")
    assert " --output gs://mine/run --mlflow-uri " in out  # run.json is looked for there too


@pytest.mark.parametrize("password", ["hush", "hu/sh", "hu@sh", "hu sh"])
@pytest.mark.parametrize("script", [*SCRIPTS, "create-cluster.sh", "delete-cluster.sh"])
def test_a_dry_run_shows_no_password(path: str, script: str, password: str) -> None:
    address = f"http://reader:{password}@mlflow.internal:5000"
    code, out, err = run(path, script, "--dry-run", **{**SETTINGS, "MLFLOW_TRACKING_URI": address})
    assert (code, err) == (0, "")
    assert ("mlflow.internal:5000" in out) == (script in SCRIPTS)
    assert "reader" not in out
    assert "sh@" not in out


@pytest.mark.parametrize("password", ["hush", "hu/sh", "hu@sh"])
def test_the_link_to_mlflow_holds_no_password(path: str, password: str) -> None:
    script = "NAME=t; . ci-cd/lib.sh; . ci-cd/jobs.sh; mlflow_link experiments/1"
    env = {"PATH": path, "MLFLOW_TRACKING_URI": f"http://reader:{password}@mlflow.internal:5000/"}
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "http://mlflow.internal:5000/#/experiments/1\n"


SHOWN = {
    "http://me:hush@a/b": "http://***@a/b",  # pragma: allowlist secret
    "http://me:hu/s?h#@a:5000/b": "http://***@a:5000/b",  # pragma: allowlist secret
    "http://me@a@b/c": "http://***@b/c",
    "http://a/b@c": "http://a/b@c",
    "http://a?mail=b@c": "http://a?mail=b@c",
    "http://a#b@c": "http://a#b@c",
    "mysql://c/d?user=me&password=hush&e=f": "mysql://c/d?user=me&password=***&e=f",  # pragma: allowlist secret
    "mysql://c/d?SSLPassword2=hu;sh&e=f": "mysql://c/d?SSLPassword2=***&e=f",  # pragma: allowlist secret
    "mssql://h?odbc_connect=PWD%3Dx&a-token=b": "mssql://h?odbc_connect=***&a-token=***",
    "mssql://h;Pwd=hush": "mssql://h;Pwd=***",  # pragma: allowlist secret
    "gs://bucket/passwords=all": "gs://bucket/passwords=all",
}
"""Addresses, and how they are shown by all that show some."""


def test_the_secrets_of_an_address_are_hidden_everywhere_alike(path: str) -> None:
    script = f'NAME=t; . ci-cd/lib.sh; for uri in {shlex.join(SHOWN)}; do show "$uri"; done'
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env={"PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.replace("\\", "").split() == list(SHOWN.values())
    assert [models.without_password(uri) for uri in SHOWN] == list(SHOWN.values())
    # Links are made of these: no *** stands for who logs in.
    assert [without_secrets(uri) for uri in SHOWN] == [shown.replace("***@", "") for shown in SHOWN.values()]


def test_the_revision_is_that_of_what_is_staged_as_the_dags_name_it(path: str, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    leave = shutil.ignore_patterns("env", "__pycache__")
    for folder in ("ci-cd", "code"):
        shutil.copytree(ROOT / folder, root / folder, ignore=leave)
    for name in (".gitignore", "requirements-cluster.txt"):
        shutil.copy(ROOT / name, root)
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "one")):
        subprocess.run(["git", *words], cwd=root, check=True)

    def revision() -> str:
        code, out, err = run_at(root, path, root / "ci-cd" / "train-model.sh", "--dry-run", **SETTINGS)
        assert (code, err) == (0, "")
        (found,) = set(re.findall(r"gs://\S+/code/([^/]+)/", out))
        assert found == staging.revision_of(root)
        assert ("changes that no commit has" in out) == ("dirty" in found)
        return str(found)

    commit = revision()
    assert re.fullmatch("[0-9a-f]{12}", commit)
    (root / "broken").symlink_to("nowhere")
    subprocess.run(["git", "init", "-q", "nested"], cwd=root, check=True)
    (root / "ci-cd" / "lib.sh").write_text(f"{(root / 'ci-cd' / 'lib.sh').read_text()}# more\n", encoding="utf-8")
    assert revision() == commit
    (root / "code" / "sentiment" / "more.py").write_text("", encoding="utf-8")
    changed = revision()
    (root / "requirements-cluster.txt").write_text("", encoding="utf-8")
    assert len({commit, changed, revision()}) == 3


def test_the_environment_goes_before_the_file(path: str, tmp_path: Path) -> None:
    file = tmp_path / "env"
    example = (ROOT / "ci-cd" / "env.example").read_text(encoding="utf-8")
    file.write_text(f"{example}REGION=europe-west1\n", encoding="utf-8")
    words = ["--dry-run", "--env", str(file)]
    code, out, _ = run(path, "train-model.sh", *words, PROJECT_ID="acme", CODE_BUCKET="mine")
    assert code == 0
    assert "--project=acme" in out
    assert "--region=europe-west1" in out
    assert "gs://mine/code/" in out
    assert "--input gs://my-project-sentiment-data/data_raw/sentiment140" in out
    file.write_text("REGION\n", encoding="utf-8")
    code, _, err = run(path, "train-model.sh", *words)
    assert (code, err) == (2, f"train-model: want NAME=VALUE in line 1 of {file}, found another form\n")
    file.write_text('\r\nPROJECT_ID=acme\r\nREGION="europe-west1"\r\n', encoding="utf-8")
    code, _, err = run(path, "train-model.sh", *words)
    line = f"train-model: want NAME=VALUE without quotes in line 3 of {file}, found quotes around REGION\n"
    assert (code, err) == (2, line)
    file.write_text("PROJECT_ID=acme\r\n# none\r\nREGION=europe-west1", encoding="utf-8", newline="")
    code, out, err = run(path, "delete-cluster.sh", *words)
    command = "gcloud --project=acme --quiet dataproc clusters delete sentiment-cluster --region=europe-west1\n"
    assert (code, out, err) == (0, command, "")


def test_the_smoke_test_is_told_another_broker_of_the_output(path: str) -> None:
    words = ["--dry-run", "--kafka-output-bootstrap", "other.internal:9092"]
    code, out, err = run(path, "smoke-test.sh", *words, **SETTINGS)
    assert (code, err) == (0, "")
    assert "--kafka-output-bootstrap other.internal:9092 " in out
    assert "--kafka-bootstrap broker.internal:9092" in out


def test_a_file_is_taken_from_where_the_user_is(path: str, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("REGION=europe-west1\n", encoding="utf-8")
    for script in ("train-model.sh", "deploy-serving.sh", "smoke-test.sh", "create-cluster.sh", "delete-cluster.sh"):
        code, out, err = run_at(tmp_path, path, ROOT / "ci-cd" / script, "--dry-run", "--env", "env", **SETTINGS)
        assert (code, err) == (0, "")
        assert "--region=europe-west1" in out or script == "smoke-test.sh"
    (tmp_path / "mine.txt").touch()
    for upload in (["--upload"], []):
        words = ["--requirements", "mine.txt", *upload, "--env", "absent"]
        code, _, err = run_at(tmp_path, path, ROOT / "ci-cd" / "build-environment.sh", *words)
        assert (code, err) == (2, "build-environment: want --env to name a file of settings, found nothing at absent\n")


@pytest.mark.skipif(sys.platform != "linux", reason="the archive is of Linux")
def test_an_archive_that_stays_here_needs_no_project_and_takes_the_installer_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("MINICONDA_GCS_URI=/nowhere/miniconda.sh\n", encoding="utf-8")
    script, tools = ROOT / "ci-cd" / "build-environment.sh", os.environ["PATH"]
    code, _, err = run_at(tmp_path, tools, script, "--env", "env", "--output", f"{tmp_path}/made.tar.gz")
    assert code == 1
    assert "want Miniconda at /nowhere/miniconda.sh, found: cp: " in err


def test_every_setting_that_a_script_reads_stands_in_the_example() -> None:
    example = (ROOT / "ci-cd" / "env.example").read_text(encoding="utf-8")
    for script in SCRIPTS:
        text = (ROOT / "ci-cd" / script).read_text(encoding="utf-8")
        named = text.partition("# Settings: ")[2].partition("(ci-cd/env.example")[0]
        names = [word for word in named.replace("#", " ").replace(",", " ").split() if word]
        assert len(names) > 4
        assert [name for name in names if f"{name}=" not in example] == []
    assert os.access(ROOT / "ci-cd" / "test-cicd.sh", os.X_OK)


def test_a_deploy_that_the_checkpoint_is_known_to_refuse_drains_nothing(tmp_path: Path) -> None:
    gcloud, calls = tmp_path / "gcloud", tmp_path / "calls"
    gcloud.write_text(GCLOUD.format(calls=calls), encoding="utf-8")
    gcloud.chmod(0o755)
    words = ["--stream", "s", "--drain", "--timeout", "1"]
    code, _, err = run(f"{tmp_path}:{os.environ['PATH']}", "deploy-serving.sh", *words, **SETTINGS)
    place = "gs://sentiment-bucket-checkpoint/checkpoint/s"
    line = f"the checkpoint {place} was written with old, now it is sentiment-predictions"
    complaint = f"--kafka-output-topic: {line}; want the same, or a new --checkpoint"
    assert (code, err) == (2, f"deploy-serving: streaming_serving_mlflow_hdfs_kafka.py: {complaint}\n")
    assert not re.search(" cp | submit | kill ", calls.read_text(encoding="utf-8"))


def test_only_the_flag_makes_a_dry_run(path: str) -> None:
    script = "set -eu; NAME=t; . ci-cd/lib.sh; need_gcloud"
    env = {"PATH": path, "DRY_RUN": "false"}
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "t: want gcloud on PATH, found none\n")
