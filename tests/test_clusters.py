"""create-cluster.sh and delete-cluster.sh with the real gcloud against the local Dataproc server and store."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from buckets import Store
from cloud_shell import Shell
from dataproc_server import CLUSTER, PLACE, Clients, Server, State
from gcs_service import Gcs
from services import ROOT

CREATE, DELETE = "ci-cd/create-cluster.sh", "ci-cd/delete-cluster.sh"
BARE = ("--environment", "none")


@pytest.fixture(scope="module")
def server(gcs: Gcs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("dataproc"), "--storage-endpoint", gcs.address())
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def shell(gcs: Gcs, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("shell"), gcs, server.rest_port)


def names(server: Server) -> set[str]:
    return {cluster.cluster_name for cluster in Clients(server, "rest").clusters.list_clusters(request=PLACE)}


def test_a_cluster_is_made_with_its_init_action_once_and_deleted_once(shell: Shell, server: Server, gcs: Gcs) -> None:
    arguments = ("--spot-workers", "3", "--image", "2.2-ubuntu22", "--max-idle", "2h")
    done = shell.run(CREATE, *arguments, CLUSTER="one", WHEELS_GCS_URI="gs://sentiment-bucket-code/wheels")
    assert (done.returncode, done.stderr) == (0, "")
    assert "cluster one is running in us-central1 (image 2.2-ubuntu22, workers: 2, spot: 3)" in done.stdout
    cluster = Clients(server, "rest").clusters.get_cluster(request={**PLACE, "cluster_name": "one"})
    config, secondary = cluster.config, cluster.config.secondary_worker_config
    assert config.software_config.image_version == "2.2-ubuntu22"
    assert (secondary.num_instances, secondary.preemptibility.name) == (3, "SPOT")
    assert config.lifecycle_config.idle_delete_ttl.total_seconds() == 7200
    (action,) = config.initialization_actions
    assert action.execution_timeout.total_seconds() <= 600
    metadata = dict(config.gce_cluster_config.metadata)
    assert metadata["WHEELS_GCS_URI"] == "gs://sentiment-bucket-code/wheels"
    with Store(gcs.port) as store:
        for uri, start in (
            (action.executable_file, b"#!/usr/bin/env bash"),
            (metadata["REQUIREMENTS_GCS_URI"], b"# This file"),
        ):
            bucket, _, name = uri.removeprefix("gs://").partition("/")
            assert name.startswith("code/")
            assert store.read(bucket, name).startswith(start)

    again = shell.run(CREATE, *arguments, CLUSTER="one")
    assert (again.returncode, again.stdout) == (
        0,
        "create-cluster: cluster one is there already in us-central1: RUNNING\n",
    )
    gone = shell.run(DELETE, CLUSTER="one")
    assert (gone.returncode, gone.stdout) == (0, "delete-cluster: cluster one is deleted\n")
    assert "one" not in names(server)
    nothing = shell.run(DELETE, CLUSTER="one")
    assert (nothing.returncode, nothing.stdout) == (0, "delete-cluster: there is no cluster one in us-central1\n")


def test_a_dry_run_prints_the_commands_and_changes_nothing(shell: Shell, server: Server) -> None:
    before = names(server)
    done = shell.run(CREATE, "--dry-run", "--workers", "0", CLUSTER="dry", STAGING_BUCKET="not-asked")
    assert (done.returncode, done.stderr) == (0, "")
    commands = [line for line in done.stdout.splitlines() if not line.startswith("create-cluster: ")]
    assert [line.split()[3:6] for line in commands] == [
        ["storage", "cp", "ci-cd/init-actions/init-conda-spark-nlp-mlflow.sh"],
        ["dataproc", "clusters", "create"],
    ]
    assert "--single-node" in commands[1]
    delete = shell.run(DELETE, "--dry-run", CLUSTER=CLUSTER)
    command = "gcloud --project=sentiment-local --quiet dataproc clusters delete"
    assert delete.stdout == f"{command} {CLUSTER} --region=us-central1\n"
    assert names(server) == before


def test_a_cluster_with_an_active_job_stays_unless_forced(shell: Shell, server: Server, tmp_path: Path) -> None:
    assert shell.run(CREATE, *BARE, CLUSTER="busy").returncode == 0
    (tmp_path / "wait.py").write_text("import time\ntime.sleep(60)\n", encoding="utf-8")
    clients = Clients(server, "rest")
    job = clients.submit(tmp_path / "wait.py", placement={"cluster_name": "busy"})
    clients.reached(job, State.RUNNING)
    done = shell.run(DELETE, "--wait", "0", CLUSTER="busy")
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        f"delete-cluster: want no active job on CLUSTER busy, found {job.reference.job_id};"
        " drain a stream first, or --force\n",
    )
    assert "busy" in names(server)
    assert shell.run(DELETE, "--force", CLUSTER="busy").returncode == 0
    assert "busy" not in names(server)


def test_a_job_that_is_about_to_end_is_waited_for(shell: Shell, server: Server, tmp_path: Path) -> None:
    assert shell.run(CREATE, *BARE, CLUSTER="ending").returncode == 0
    gate = tmp_path / "gate"
    waits = f"import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.1)\n"
    (tmp_path / "wait.py").write_text(waits, encoding="utf-8")
    clients = Clients(server, "rest")
    job = clients.submit(tmp_path / "wait.py", placement={"cluster_name": "ending"})
    clients.reached(job, State.RUNNING)
    env = {**shell.env, "CLUSTER": "ending"}
    with subprocess.Popen([DELETE], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as deleting:
        assert deleting.stdout is not None
        told = deleting.stdout.readline()
        gate.touch()
        rest = deleting.stdout.read()
    assert told == f"delete-cluster: waiting up to 60 s for the end of {job.reference.job_id}\n"
    assert (deleting.returncode, rest) == (0, "delete-cluster: cluster ending is deleted\n")
    assert "ending" not in names(server)


@pytest.mark.parametrize(
    ("command", "env", "code", "line"),
    [
        ((DELETE, "--wait", "long"), {}, 2, "want --wait to be a whole number of seconds, found long"),
        ((CREATE, "--workers", "1"), {}, 2, "want --workers to be 0 or at least 2, found 1"),
        (
            (CREATE, "--workers", "0", "--spot-workers", "2"),
            {},
            2,
            "want --workers 2 or more beside --spot-workers 2, found 0",
        ),
        ((CREATE, "--spot-workers", "two"), {}, 2, "want --spot-workers to be a whole number, found two"),
        (
            (CREATE, "--image", "2.1-debian11"),
            {},
            2,
            "want --image 3.0-debian12, 2.2-ubuntu22 or their kin (Spark 4.0 or 3.5), found 2.1-debian11",
        ),
        ((CREATE, "--image"), {}, 2, "want a value after --image, found none"),
        ((CREATE, "--fast"), {}, 2, "want the arguments that --help lists, found --fast"),
        ((DELETE, "--env", "absent"), {}, 2, "want --env to name a file of settings, found nothing at absent"),
        (
            (DELETE,),
            {"PROJECT_ID": "", "CLOUDSDK_CORE_PROJECT": "", "GOOGLE_CLOUD_PROJECT": ""},
            2,
            "want PROJECT_ID to name the project, found nothing (environment, --env FILE or ci-cd/env)",
        ),
        (
            (CREATE, *BARE),
            {"STAGING_BUCKET": "absent", "CLUSTER": "new"},
            1,
            "want STAGING_BUCKET to name a bucket that can be read, found gs://absent: gs://absent",
        ),
        (
            (CREATE,),
            {"CODE_BUCKET": "absent", "CLUSTER": "new"},
            1,
            "want CODE_BUCKET to name a bucket that can be read, found gs://absent: gs://absent",
        ),
        (
            (CREATE, *BARE),
            {"REGION": "us-central"},
            1,
            "want to find CLUSTER sentiment-cluster in REGION us-central of sentiment-local, found: ",
        ),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    shell: Shell, server: Server, command: tuple[str, ...], env: dict[str, str], code: int, line: str
) -> None:
    before = names(server)
    done = shell.run(*command, **env)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.partition(": ")[2].startswith(line)
    assert done.stderr.count("\n") == 1
    assert names(server) == before


def test_settings_come_from_the_environment_then_from_the_file(shell: Shell, tmp_path: Path) -> None:
    settings = tmp_path / "env"
    settings.write_text("# ours\nPROJECT_ID=theirs\nCLUSTER=from-file\nREGION=europe-west1\n", encoding="utf-8")
    bare = ("env", "-u", "PROJECT_ID", "-u", "REGION", DELETE)  # make up's own settings would come first
    done = shell.run(*bare, "--dry-run", "--env", settings, CLUSTER="from-environment")
    assert done.stdout == (
        "gcloud --project=theirs --quiet dataproc clusters delete from-environment --region=europe-west1\n"
    )
    settings.write_text("PROJECT_ID = spaced\n", encoding="utf-8")
    done = shell.run(DELETE, "--env", settings)
    assert done.returncode == 2
    assert f"want NAME=VALUE in line 1 of {settings}, found another form" in done.stderr


@pytest.mark.parametrize("script", [CREATE, DELETE, "ci-cd/build-environment.sh"])
def test_help_tells_every_argument(shell: Shell, script: str) -> None:
    done = shell.run(script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    flags = set(re.findall(r"^ *(--[a-z-]+)\)", (ROOT / script).read_text(encoding="utf-8"), re.MULTILINE)) - {"--help"}
    assert {"--env", "--dry-run"} <= flags
    assert not [flag for flag in flags if flag not in done.stdout]
