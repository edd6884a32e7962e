"""airflow/docker-compose.yml and the airflow/.env that setup.sh writes for it; no container is started."""

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from services import ROOT

COMPOSE = ROOT / "airflow" / "docker-compose.yml"
SECRET = re.compile(r"PASSWORD|SECRET|_KEY|FERNET|SQL_ALCHEMY_CONN")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of what setup.sh needs."""
    for name in ("setup.sh", "docker-compose.yml"):
        shutil.copy(ROOT / "airflow" / name, tmp_path)
    return tmp_path


def written(folder: Path) -> dict[str, str]:
    subprocess.run([folder / "setup.sh", "--no-start"], check=True, capture_output=True)
    lines = (folder / ".env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_it_is_what_the_compose_specification_allows() -> None:
    checker = str(Path(sys.executable).with_name("check-jsonschema"))
    subprocess.run([checker, "--builtin-schema", "vendor.compose-spec", str(COMPOSE)], check=True, capture_output=True)


def test_images_are_pinned_and_what_runs_on_has_a_health_check(services: dict[str, Any]) -> None:
    assert {"postgres", "api-server", "scheduler", "dag-processor", "triggerer", "airflow-init"} == set(services)
    for name, service in services.items():
        assert re.fullmatch(r"apache/airflow:3\.3\.\d+-python3\.11|postgres:\d+\.\d+", service["image"]), name
        assert name == "airflow-init" or service["healthcheck"]["test"], name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name


def test_no_secret_stands_in_it(services: dict[str, Any]) -> None:
    seen = set()
    for name, service in services.items():
        for variable, value in service["environment"].items():
            if SECRET.search(variable):
                assert re.search(r"\$\{[A-Z_]+:\?", value), f"{name}: {variable}"
                seen.add(variable)
    assert {"POSTGRES_PASSWORD", "ADMIN_PASSWORD", "AIRFLOW__CORE__FERNET_KEY"} <= seen


def test_setup_writes_what_it_asks_for_once_and_for_this_user_alone(folder: Path) -> None:
    first = written(folder)
    assert set(re.findall(r"\$\{([A-Z_]+)", COMPOSE.read_text(encoding="utf-8"))) - {"HOSTNAME"} <= set(first)
    assert all(first.values())
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    assert written(folder) == first
    (folder / ".env").unlink()
    other = written(folder)
    assert all(other[name] != first[name] for name in first if SECRET.search(name))


def test_the_fernet_key_is_one(folder: Path) -> None:
    from cryptography.fernet import Fernet

    Fernet(written(folder)["FERNET_KEY"].encode())


def has_compose() -> bool:
    docker = shutil.which("docker")
    command = [docker or "", "compose", "version"]
    return bool(docker) and subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_docker_compose_takes_it(folder: Path) -> None:
    if not has_compose():
        pytest.skip("want docker with its compose plugin")
    written(folder)
    command = ["docker", "compose", "-f", str(folder / "docker-compose.yml"), "config", "--quiet"]
    subprocess.run(command, check=True, capture_output=True)


def test_without_compose_setup_says_what_it_wants(folder: Path) -> None:
    if has_compose():
        pytest.skip("docker compose is there")
    ended = subprocess.run([folder / "setup.sh"], check=False, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "want docker with its compose plugin, found none" in ended.stderr
