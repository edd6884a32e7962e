"""What `.local/env` tells gcloud and gsutil leads to ports of this machine, and nothing of it goes elsewhere."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import clients
import pytest
import settings
import supervisor
import up
from buckets import Store
from dataproc import __main__ as dataproc_server
from dataproc import lifecycle
from dataproc_service import Dataproc
from gcs_service import Gcs
from kafka_service import Kafka
from mlflow_service import Mlflow
from services import ROOT

from sentiment import session

# Every connection and every look-up of a name goes through here; only this machine is let through.
GUARD = """
import os, socket
def note(what):
    with open(os.environ["GUARD_RECORD"], "a") as record:
        record.write(what + "\\n")
class Guarded(socket.socket):
    def connect(self, address):
        self._look(address); return super().connect(address)
    def connect_ex(self, address):
        self._look(address); return super().connect_ex(address)
    def _look(self, address):
        if self.family != socket.AF_UNIX:
            note("connect " + str(address[0]))
            if address[0] != "127.0.0.1":
                raise OSError("guarded")
socket.socket = Guarded
found = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    note("name " + str(host))
    if host != "127.0.0.1":
        raise OSError("guarded")
    return found(host, *rest, **more)
socket.getaddrinfo = getaddrinfo
note("guarded")
"""


def test_every_address_is_a_local_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPROC_REST_PORT", "18481")
    found = clients.exports(tmp_path, 14443, 14444)
    addresses = {name: value for name, value in found.items() if "://" in value}
    assert addresses == {
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:14443",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": "http://127.0.0.1:14444/storage/v1/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAPROC": "http://127.0.0.1:18481/",
    }
    assert found["CLOUDSDK_AUTH_DISABLE_CREDENTIALS"] == found["NO_GCE_CHECK"] == "true"
    assert found["GCE_METADATA_HOST"] == found["GCE_METADATA_ROOT"] == "127.0.0.1:1"
    assert found["CLOUDSDK_CORE_CHECK_GCE_METADATA"] == "false"
    assert Path(found["CLOUDSDK_CONFIG"]).is_dir()
    assert Path(found["CLOUDSDK_CONFIG"]).is_relative_to(tmp_path)
    assert found["CLOUDSDK_DATAPROC_REGION"] == settings.text("cloud", "region") == "us-central1"


def test_a_local_shell_holds_every_setting_of_the_scripts(tmp_path: Path) -> None:
    example = (ROOT / "ci-cd" / "env.example").read_text(encoding="utf-8")
    names = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE))
    services = Kafka().exports() | Mlflow().exports()
    told = {**clients.exports(tmp_path, 14443, 14444), **services, "SENTIMENT_LEDGER": "once MLflow has had its place"}
    assert len(names) > 20
    assert names - set(told) == set()
    assert set(clients.suite()) - names == set()


def test_a_local_shell_does_not_take_the_settings_of_a_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "ci-cd"
    folder.mkdir()
    for script in ("lib.sh", "delete-cluster.sh"):
        shutil.copy(ROOT / "ci-cd" / script, folder)
    (folder / "env").write_text("PROJECT_ID=theirs\nKAFKA_BOOTSTRAP=broker.internal:9092\n", encoding="utf-8")
    monkeypatch.setattr(up, "LOCAL", tmp_path)
    supervisor.write_env([], up.common_exports, tmp_path / "env")  # no object store runs, nor anything else

    def said(script: str) -> str:
        shell, kept = ["bash", "-euc", script], {"PATH": os.environ["PATH"]}
        return subprocess.run(shell, cwd=tmp_path, env=kept, capture_output=True, text=True, check=True).stdout

    settings = "NAME=t; . ci-cd/lib.sh; load_settings; echo $PROJECT_ID ${KAFKA_BOOTSTRAP:-none}"
    assert said(settings) == "theirs broker.internal:9092\n"
    assert said(f". ./env; {settings}") == "sentiment-local none\n"
    local = said(". ./env; ci-cd/delete-cluster.sh --dry-run; echo $CLOUDSDK_AUTH_DISABLE_CREDENTIALS $BOTO_CONFIG")
    assert local.startswith("gcloud --project=sentiment-local --quiet dataproc clusters delete sentiment-cluster ")
    assert local.endswith(f"\ntrue {tmp_path}/boto\n")


def test_a_local_shell_leads_away_from_a_cloud_whatever_runs_and_whatever_it_held_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCS_PORT", "14443")
    monkeypatch.setattr(up, "LOCAL", tmp_path)
    supervisor.write_env([], up.common_exports, tmp_path / "env")
    names = ("STORAGE_EMULATOR_HOST", "MLFLOW_TRACKING_URI", "SENTIMENT_LEDGER", "KAFKA_BOOTSTRAP", clients.STORE)
    held = {"PATH": os.environ["PATH"], **dict.fromkeys(names, "https://production")}
    script = f". ./env; echo {' '.join(f'${{{name}-none}}' for name in names)}"
    done = subprocess.run(["sh", "-euc", script], cwd=tmp_path, env=held, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["http://127.0.0.1:14443", "none", "none", "none", "none"]


def test_services_know_an_object_store_that_runs_from_a_place_where_one_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow, dataproc, start = Mlflow(tmp_path / "mlflow"), Dataproc(tmp_path / "dataproc"), Mock()
    for service in (mlflow, dataproc):
        monkeypatch.setattr(service.daemon, "start", start)
    without, beside = clients.always(tmp_path, 14443, 14444), clients.exports(tmp_path, 14443, 14444)
    for env, place, endpoint in (
        (without, str(tmp_path / "mlflow"), ""),
        (beside, "gs://sentiment-bucket-mlflow", "http://127.0.0.1:14443"),
    ):
        mlflow.launch(env)
        dataproc.launch(env)
        commands = [call.args[0] for call in start.call_args_list[-2:]]
        assert f"{place}/artifacts" in commands[0]
        assert commands[1][commands[1].index("--storage-endpoint") + 1] == endpoint


def test_a_job_of_the_local_dataproc_asks_no_cloud_where_no_object_store_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:14443")
    words = ["--grpc-port", "1", "--rest-port", "2", "--folder", str(tmp_path)]
    made = dataproc_server.settings_of(dataproc_server.parse_args(words))
    assert made.conf["spark.hadoop.fs.gs.storage.root.url"] == "http://127.0.0.1:14443/"
    assert lifecycle.environment(made)["STORAGE_EMULATOR_HOST"] == "http://127.0.0.1:14443"
    assert made.storage_endpoint == ""


def test_gsutils_configuration_names_no_other_host_and_no_credentials(tmp_path: Path) -> None:
    boto = configparser.ConfigParser()
    boto.read(clients.exports(tmp_path, 14443, 14444)["BOTO_CONFIG"])
    credentials = dict(boto["Credentials"])
    assert credentials == {
        f"{kind}_{part}": value
        for kind in ("gs", "gs_json", "s3")
        for part, value in (("host", "127.0.0.1"), ("port", "14444"))
    }
    assert boto.getint("GSUtil", "software_update_check_period") == 0


def guarded(tmp_path: Path, gcs: Gcs, *command: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run a client with the exports and the guard: what became of it, and every address that it wanted."""
    guard, record = tmp_path / "guard", tmp_path / "record"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    env = {
        **kept,
        **gcs.exports(),
        **clients.exports(tmp_path, *gcs.ports().values()),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(guard),
        "CLOUDSDK_PYTHON_SITEPACKAGES": "1",
        "GUARD_RECORD": str(record),
    }
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    wanted = set(record.read_text(encoding="utf-8").splitlines()) if record.exists() else set()
    return done, wanted


def test_the_guard_lets_nothing_out(gcs: Gcs, tmp_path: Path) -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80))"
    done, wanted = guarded(tmp_path, gcs, sys.executable, "-c", code)
    assert "guarded" in done.stderr
    assert wanted == {"guarded", "name 192.0.2.1"}


@pytest.mark.gcloud
@pytest.mark.parametrize(
    "command",
    [
        ("gsutil", "cp", "note.txt", "gs://sentiment-bucket-data/by-gsutil.txt"),
        ("gcloud", "storage", "cp", "note.txt", "gs://sentiment-bucket-data/by-gcloud.txt"),
    ],
    ids=["gsutil", "gcloud"],
)
def test_the_real_clients_reach_this_machine_only(gcs: Gcs, tmp_path: Path, command: tuple[str, ...]) -> None:
    if shutil.which(command[0]) is None:  # a gcloud without gsutil
        pytest.skip(f"want {command[0]} on PATH")
    (tmp_path / "note.txt").write_text("été", encoding="utf-8")
    done, wanted = guarded(tmp_path, gcs, *command)
    assert done.returncode == 0, done.stderr
    assert "guarded" in wanted, "the guard was not there"
    assert "connect 127.0.0.1" in wanted
    assert wanted <= {"guarded", "connect 127.0.0.1", "name 127.0.0.1"}
    with Store(gcs.port) as store:
        assert store.read("sentiment-bucket-data", command[-1].rpartition("/")[2]).decode() == "été"


GSUTIL = """
set -e
gsutil mb gs://seed-bucket
gsutil cp note.txt gs://seed-bucket/folder/one.txt
gsutil cp note.txt gs://seed-bucket/folder/two.txt
gsutil ls gs://seed-bucket/folder/
gsutil cat gs://seed-bucket/folder/one.txt
gsutil rm -r gs://seed-bucket/folder
gsutil ls gs://seed-bucket/
gsutil rm -r gs://seed-bucket
"""
GCLOUD = """
set -e
gcloud storage cp note.txt gs://sentiment-bucket-data/gone/one.txt
gcloud storage cp note.txt gs://sentiment-bucket-data/gone/two.txt
gcloud storage cat gs://sentiment-bucket-data/gone/one.txt
gcloud storage mv gs://sentiment-bucket-data/gone/one.txt gs://sentiment-bucket-data/gone/three.txt
gcloud storage rm -r gs://sentiment-bucket-data/gone/
"""


@pytest.mark.parametrize("commands", [GSUTIL, GCLOUD], ids=["gsutil", "gcloud"])
def test_the_seed_s_commands_do_what_they_do_on_google_cloud(gcs: Gcs, tmp_path: Path, commands: str) -> None:
    if shutil.which("gsutil") is None:
        pytest.skip("want gsutil, which is part of no registry")
    (tmp_path / "note.txt").write_text("été", encoding="utf-8")
    done, wanted = guarded(tmp_path, gcs, "bash", "-c", commands)
    assert done.returncode == 0, done.stderr
    assert "été" in done.stdout
    assert wanted <= {"guarded", "connect 127.0.0.1", "name 127.0.0.1"}
    with Store(gcs.port) as store:
        assert "seed-bucket" not in store.buckets()
        assert not [found for found in store.objects("sentiment-bucket-data") if found["name"].startswith("gone/")]


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4443", "127.0.0.1:4443", "http://127.0.0.1:4443/"])
def test_a_laptop_session_has_gs_where_the_client_libraries_have_it(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    assert not [key for key in session._laptop_settings() if "fs.gs" in key]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", endpoint)
    found = {key: value for key, value in session._laptop_settings().items() if "fs.gs" in key}
    assert found["spark.hadoop.fs.gs.storage.root.url"] == "http://127.0.0.1:4443/"
    assert found["spark.hadoop.fs.gs.auth.type"] == "UNAUTHENTICATED"
    assert not [value for value in found.values() if re.search(r"googleapis|metadata", value)]
