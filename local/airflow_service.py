"""Airflow as one of the services: all of its processes, with the suite's DAGs, led to the local stack."""

import json
import signal
import sys
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import airflow_home
import psutil
import settings
from services import ServiceError
from supervisor import Service

PARTS = ("scheduler", "triggerer", "dag_processor")
EXAMPLE = airflow_home.FOLDER / "variables.example.json"


class Airflow(Service):
    """Airflow on SQLite with LocalExecutor. Its connection comes from the environment, so that it follows the ports;
    its Variables are in its database, where the user interface changes them."""

    name = "airflow"
    start_seconds = 600.0
    stop_signal = signal.SIGINT  # SIGTERM would leave its children behind

    def launch(self, env: Mapping[str, str]) -> None:
        airflow_home.write_login(self.folder)
        inherited = {name: value for name, value in env.items() if not name.startswith("AIRFLOW_")}
        command = [sys.executable, "-P", str(airflow_home.FOLDER / "standalone.py")]
        endpoint = self._endpoint(env)
        own = {
            **airflow_home.environment(self.folder, self.port),
            airflow_home.CONNECTION: airflow_home.connection(endpoint),
            "PATH": airflow_home.path(inherited),
            "SPT_NOENV": "1",  # titles of processes would overwrite the mark by which they are found
        }
        self.daemon.start(command, {**inherited, **own}, self.folder, ports=self.ports(), endpoint=endpoint)

    def is_healthy(self) -> bool:
        """Whether all its parts are, and said so since it was started: its database remembers earlier ones."""
        try:
            began = psutil.Process(self.daemon.pid()).create_time() if self.is_running() else float("inf")
            parts = self._ask("GET", "/api/v2/monitor/health")
            beats = [datetime.fromisoformat(parts[part][f"latest_{part}_heartbeat"]) for part in PARTS]
        except (OSError, ValueError, KeyError, TypeError, psutil.NoSuchProcess):
            return False
        return all(parts[part]["status"] == "healthy" for part in PARTS) and min(beats).timestamp() > began

    def complete(self) -> None:
        print(f"airflow: log in at {self.address()} as {airflow_home.USER}, password {airflow_home.PASSWORD}")

    def follow(self, known: Mapping[str, str]) -> None:
        try:
            self._write_variables(local_variables(known))
        except OSError as error:
            raise ServiceError(f"airflow: its Variables could not be written: {error}") from None

    def exports(self) -> dict[str, str]:
        # The local port even where no Dataproc server runs: without an endpoint hooks would go to Google.
        return {
            **airflow_home.environment(self.folder, self.port),
            airflow_home.CONNECTION: airflow_home.connection(self._endpoint({})),
        }

    def _endpoint(self, env: Mapping[str, str]) -> str:
        noted = (self.daemon.note() or {}).get("endpoint", "") if self.is_running() else ""
        return env.get("DATAPROC_ENDPOINT") or noted or f"127.0.0.1:{settings.port('dataproc', 'grpc_port')}"

    def _write_variables(self, wanted: Mapping[str, str]) -> None:
        """Set the Variables that are not there, or still hold what an earlier `make up` wrote."""
        note = self.folder / "variables-written.json"
        written = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
        token = self._ask("POST", "/auth/token", {"username": airflow_home.USER, "password": airflow_home.PASSWORD})
        bearer = str(token["access_token"])
        listed = self._ask("GET", "/api/v2/variables?limit=1000", bearer=bearer)["variables"]
        there = {item["key"]: item["value"] for item in listed}
        ours = {key: value for key, value in wanted.items() if key not in there or there[key] == written.get(key)}
        if all(there.get(key) == value for key, value in ours.items()):
            return
        action = {
            "action": "create",
            "action_on_existence": "overwrite",
            "entities": [{"key": key, "value": value} for key, value in ours.items()],
        }
        answer = self._ask("PATCH", "/api/v2/variables", {"actions": [action]}, bearer)
        if errors := answer["create"]["errors"]:
            raise ServiceError(f"airflow: its Variables could not be written: {errors}")
        note.write_text(json.dumps({**written, **ours}, indent=1), encoding="utf-8")

    def _ask(self, method: str, path: str, body: Any = None, bearer: str = "") -> Any:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address() + path, data, headers, method=method)  # noqa: S310  our own
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)


def local_variables(env: Mapping[str, str]) -> dict[str, str]:
    """The Variables of the example, with the places of the local services that `env` tells of."""
    example: dict[str, str] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    return {
        **example,
        "project_id": settings.text("cloud", "project"),
        "region": settings.text("cloud", "region"),
        "cluster_name": settings.text("cloud", "cluster"),
        "create_cluster": "false",
        "mlflow_tracking_uri": env.get("MLFLOW_TRACKING_URI", ""),
        "ledger_uri": env.get("SENTIMENT_LEDGER", ""),
        "kafka_bootstrap_servers": env.get("KAFKA_BOOTSTRAP", ""),
    }
