"""Airflow as `make up` starts it: its login, its Variables, its addresses, a task with the environment's commands."""

import json
import os
import signal
import urllib.error
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import airflow_home
import psutil
import pytest
import supervisor
from airflow_run import google_connection
from airflow_service import Airflow, local_variables
from daemons import lives
from dataproc_server import wait_for
from services import ServiceError, free_port

KNOWN = {
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:25000",
    "SENTIMENT_LEDGER": "gs://b/ledger",
    "KAFKA_BOOTSTRAP": "127.0.0.1:25001",
    "DATAPROC_ENDPOINT": "127.0.0.1:25002",
}


class Others(Airflow):
    """Airflow after services that gave it KNOWN."""

    def launch(self, env: Mapping[str, str]) -> None:
        super().launch({**env, **KNOWN})

    def follow(self, known: Mapping[str, str]) -> None:
        super().follow({**known, **KNOWN})


class Running(supervisor.Service):
    """A service that is said to run, without a process."""

    runs = True

    def launch(self, env: Mapping[str, str]) -> None:
        raise AssertionError(env)

    def is_running(self) -> bool:
        return self.runs

    def is_healthy(self) -> bool:
        return self.runs


class Broker(Running):
    """A broker of which there is the address alone."""

    name, runs = "kafka", False

    def exports(self) -> dict[str, str]:
        return {"KAFKA_BOOTSTRAP": "127.0.0.1:25001"}


class Database(Running, Airflow):
    """An Airflow of which there are the Variables alone."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        folder.mkdir()
        self.held: dict[str, str] = {}
        self.written = 0

    def _ask(self, method: str, path: str, body: Any = None, bearer: str = "") -> Any:
        if path == "/auth/token":
            return {"access_token": "t"}
        assert bearer
        if method == "PATCH":
            self.written += 1
            self.held |= {each["key"]: each["value"] for each in body["actions"][0]["entities"]}
        return {"variables": [{"key": k, "value": v} for k, v in self.held.items()], "create": {"errors": []}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Others]:
    folder = tmp_path_factory.mktemp("airflow")
    made = Others(folder / "airflow", free_port())
    supervisor.up([made], [], dict, folder / "env")
    yield made
    supervisor.down([made], [], dict, folder / "env")


def token(service: Airflow) -> str:
    login = {"username": "admin", "password": "admin"}
    return str(service._ask("POST", "/auth/token", login)["access_token"])


def test_the_login_is_the_printed_one_and_no_other(service: Others, capsys: pytest.CaptureFixture[str]) -> None:
    assert token(service)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        service._ask("POST", "/auth/token", {"username": "admin", "password": "guess"})
    service.complete()
    assert f"log in at http://127.0.0.1:{service.port} as admin, password admin" in capsys.readouterr().out


def test_everything_listens_on_this_machine_alone(service: Others) -> None:
    listening = [
        connection.laddr
        for process in service.daemon.family()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert [(address.ip, address.port) for address in listening] == [("127.0.0.1", service.port)]


def test_the_variables_are_those_of_the_stack_and_the_user_s_own_stay(service: Others) -> None:
    bearer = token(service)

    def variables() -> dict[str, Any]:
        listed = service._ask("GET", "/api/v2/variables?limit=1000", bearer=bearer)["variables"]
        return {item["key"]: item["value"] for item in listed}

    assert variables() == local_variables(KNOWN)
    assert variables()["mlflow_tracking_uri"] == KNOWN["MLFLOW_TRACKING_URI"]
    service._ask("PATCH", "/api/v2/variables/region", {"key": "region", "value": "mine"}, bearer)
    service._write_variables({**local_variables(KNOWN), "region": "theirs", "kafka_bootstrap_servers": "127.0.0.1:9"})
    found = variables()
    assert (found["region"], found["kafka_bootstrap_servers"]) == ("mine", "127.0.0.1:9")


def test_every_up_corrects_the_variables_for_what_runs_then(tmp_path: Path) -> None:
    broker, airflow = Broker(tmp_path / "kafka"), Database(tmp_path / "airflow")
    supervisor.up([broker, airflow], ["airflow"], dict, tmp_path / "env")  # it ran, as after Ctrl-C while it started
    assert airflow.held == local_variables({})
    broker.runs = True
    airflow.held["region"] = "mine"
    for chosen in (["kafka"], ["airflow"]):
        supervisor.up([broker, airflow], chosen, dict, tmp_path / "env")
        assert airflow.held == {**local_variables(broker.exports()), "region": "mine"}
    assert airflow.written == 2


def test_an_airflow_that_takes_no_variables_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    airflow = Database(tmp_path / "airflow")
    monkeypatch.setattr(airflow, "_ask", Mock(side_effect=urllib.error.URLError("gone")))
    with pytest.raises(ServiceError, match=r"^airflow: its Variables could not be written: <urlopen error gone>$"):
        airflow.follow({})


def test_the_plugin_is_there_and_no_dag_fails_to_import(service: Others) -> None:
    bearer = token(service)
    assert [each["name"] for each in service._ask("GET", "/api/v2/plugins", bearer=bearer)["plugins"]] == [
        "dataproc_endpoint"
    ]
    assert service._ask("GET", "/api/v2/importErrors", bearer=bearer)["import_errors"] == []


def test_a_shell_is_led_to_it_and_to_the_dataproc_server(service: Others) -> None:
    exports = service.exports()
    assert exports["AIRFLOW_HOME"] == str(service.folder)
    assert json.loads(exports[airflow_home.CONNECTION]) == json.loads(google_connection(KNOWN["DATAPROC_ENDPOINT"]))


def test_without_a_dataproc_server_the_connection_still_stays_on_this_machine(tmp_path: Path) -> None:
    extra = json.loads(Airflow(tmp_path).exports()[airflow_home.CONNECTION])["extra"]
    assert extra["dataproc_endpoint"].startswith("127.0.0.1:")


def test_tasks_find_the_environment_s_python_and_java() -> None:
    first, second, *_ = airflow_home.path({"PATH": "/usr/bin"}).split(os.pathsep)
    assert (Path(first) / "python").exists()
    assert (Path(second) / "java").exists()


def test_sigint_ends_it_with_all_its_children(service: Others) -> None:
    family = service.daemon.family()
    assert len(family) > 5
    service.daemon.signal(signal.SIGINT)
    # A busy machine; it never ends of its own accord. A child may outlive its parent by a moment, not by more.
    wait_for(lambda: not service.daemon.family() and not any(lives(process) for process in family), 240)
