"""The environment of Airflow on this machine: its home, address and login, the suite's DAGs and plugins.

As a script it writes the same for a shell: `python local/airflow_home.py FOLDER [PORT]` (airflow/setup_local.sh does).
"""

import json
import os
import re
import shlex
import sys
from pathlib import Path

import settings
from services import ROOT, java

USER = PASSWORD = "admin"  # noqa: S105  no secret: printed by `make up`, good on 127.0.0.1 only
FOLDER = ROOT / "airflow"
DEFAULT_PORT = 8080
CONNECTION = "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"


def environment(home: Path, port: int) -> dict[str, str]:
    """Variables for Airflow's server and for its command in a shell alike."""
    address = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(FOLDER / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(FOLDER / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__PARALLELISM": "4",  # one process each, made when it starts
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "false",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
    }


def connection(endpoint: str) -> str:
    """google_cloud_default, for a Dataproc server at host:port, without credentials."""
    extra = {"project": settings.text("cloud", "project"), "is_anonymous": True, "dataproc_endpoint": endpoint}
    return json.dumps({"conn_type": "google_cloud_platform", "extra": extra})


def path(env: dict[str, str]) -> str:
    """A PATH on which tasks find this environment's commands and the Java that Spark runs on."""
    return os.pathsep.join([str(Path(sys.executable).parent), str(Path(java()).parent), env.get("PATH", "")])


def write_login(home: Path) -> None:
    """The one user with a password that is no secret, where Airflow looks for it."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "passwords.json").write_text(json.dumps({USER: PASSWORD}), encoding="utf-8")


def write_shell(home: Path, port: int | None = None) -> None:
    """Write HOME/env: lines of `export` for a shell. The port stays unless one is given, and so does a login."""
    if not (home / "passwords.json").exists():
        write_login(home)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment(home, port or _port(home)).items()]
    lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    (home / "env").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _port(home: Path) -> int:
    """The port that HOME/env names: an Airflow may be running there."""
    try:
        text = (home / "env").read_text(encoding="utf-8")
    except FileNotFoundError:
        return DEFAULT_PORT
    found = re.search(r"^export AIRFLOW__API__PORT=(\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else DEFAULT_PORT


if __name__ == "__main__":
    write_shell(Path(sys.argv[1]).resolve(), *map(int, sys.argv[2:]))
