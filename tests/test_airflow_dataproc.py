"""The provider's own operators and hooks against the local Dataproc server, by the plugin in airflow/plugins."""

import asyncio
import importlib
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow_run import CONNECTION, Airflow, google_connection
from dataproc_server import PLACE, Clients, states
from gcs_service import Gcs
from google.api_core import exceptions
from services import ROOT

REGION = PLACE["region"]


@pytest.fixture(params=["stock_plain", "stock_deferrable"])
def dag_id(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ran(airflow: Airflow, dag_id: str, main: Path) -> tuple[dict[str, str], list[str]]:
    """The states of a stock DAG's run and tasks, and those of its one job; its cluster must be gone."""
    clients, cluster = Clients(airflow.server, "grpc"), f"{dag_id}-{main.stem}".replace("_", "-")
    found = airflow.run(dag_id, {"main": str(main), "cluster": cluster})
    (job,) = clients.jobs.list_jobs(request={**PLACE, "cluster_name": cluster})
    with pytest.raises(exceptions.NotFound):
        clients.clusters.get_cluster(request={**PLACE, "cluster_name": cluster})
    return found, states(job)


def test_the_stock_operators_make_a_cluster_run_a_job_and_delete_the_cluster(
    airflow: Airflow, tmp_path: Path, dag_id: str
) -> None:
    main = tmp_path / "well.py"
    main.write_text("print('ran')", encoding="utf-8")
    found, job = ran(airflow, dag_id, main)
    assert found == {"": "success", "create_cluster": "success", "submit_job": "success", "delete_cluster": "success"}
    assert job[-1] == "DONE"


def test_a_failed_job_makes_its_task_red_with_the_reason_and_leaves_no_cluster(
    airflow: Airflow, tmp_path: Path, dag_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main = tmp_path / "badly.py"
    main.write_text("raise ValueError('no such column')", encoding="utf-8")
    found, job = ran(airflow, dag_id, main)
    assert found == {"": "failed", "create_cluster": "success", "submit_job": "failed", "delete_cluster": "success"}
    assert job[-1] == "ERROR"
    assert "code 1: ValueError: no such column" in capsys.readouterr().out


@pytest.fixture
def hooks(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The hooks' module as a task finds it, with plugins loaded."""
    from airflow import plugins_manager
    from airflow.providers.google.cloud.hooks import dataproc

    plugins_manager.ensure_plugins_loaded()
    monkeypatch.setenv(CONNECTION, google_connection(f"127.0.0.1:{airflow.server.grpc_port}"))
    return dataproc


def test_a_connection_without_an_endpoint_keeps_google_s_own_clients(
    hooks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"project": "p", "is_anonymous": True}
    monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "google_cloud_platform", "extra": extra}))
    hook, later = hooks.DataprocHook(), hooks.DataprocAsyncHook()

    async def asynchronous() -> list[Any]:
        return [await make(region=REGION) for make in (later.get_job_client, later.get_cluster_client)]

    for client in (hook.get_job_client(REGION), hook.get_cluster_client(REGION), *asyncio.run(asynchronous())):
        assert client.transport.host == f"{REGION}-dataproc.googleapis.com:443"


def test_hooks_imported_after_the_plugin_are_led_too(hooks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.google.cloud import hooks as package

    monkeypatch.setattr(package, "dataproc", hooks)  # what the import below changes is put back
    monkeypatch.delitem(sys.modules, hooks.__name__)
    runpy.run_path(str(ROOT / "airflow" / "plugins" / "dataproc_endpoint.py"))
    fresh = importlib.import_module(hooks.__name__)
    assert fresh is not hooks
    assert fresh._dataproc_endpoint  # else the next line would ask Google
    assert fresh.DataprocHook().get_cluster(cluster_name="sentiment-cluster", **PLACE).status.state


def test_the_hooks_reach_clusters_jobs_and_operations_sync_and_async(hooks: Any) -> None:
    hook = hooks.DataprocHook()
    config = {"master_config": {"num_instances": 1}, "software_config": {"image_version": "3.0-ubuntu22"}}
    operation = hook.create_cluster(cluster_name="by-the-hook", cluster_config=config, **PLACE).operation
    assert hook.get_operations_client(region=REGION).get_operation(operation.name).name == operation.name

    async def asynchronous() -> tuple[str, str]:
        later = hooks.DataprocAsyncHook()
        found = await later.get_operation(REGION, operation.name)
        cluster = await later.get_cluster(cluster_name="sentiment-cluster", **PLACE)
        with pytest.raises(exceptions.NotFound, match="nowhere"):
            await later.get_job(job_id="nowhere", **PLACE)
        return found.name, cluster.cluster_name

    assert asyncio.run(asynchronous()) == (operation.name, "sentiment-cluster")


def test_the_clients_ask_no_proxy(hooks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    clusters = hooks.DataprocHook().list_clusters(filter_="", page_size=10, retry=None, timeout=20, **PLACE)
    assert "sentiment-cluster" in [cluster.cluster_name for cluster in clusters]


@pytest.mark.parametrize("endpoint", ["127.0.0.1", "http://127.0.0.1:8480", "127.0.0.1:grpc"])
def test_an_endpoint_that_is_none_is_named(hooks: Any, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv(CONNECTION, google_connection(endpoint))
    with pytest.raises(ValueError, match=f"google_cloud_default: want dataproc_endpoint .* host:port, .*{endpoint}"):
        hooks.DataprocHook().get_job_client(REGION)


def test_the_storage_hook_goes_to_the_local_store(hooks: Any, gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> None:
    del hooks  # only for its connection
    from airflow.providers.google.cloud.hooks.gcs import GCSHook

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address())
    hook = GCSHook()
    hook.upload("sentiment-bucket", "airflow/a.txt", data="seen")
    assert hook.download("sentiment-bucket", "airflow/a.txt") == b"seen"
    assert hook.list("sentiment-bucket", prefix="airflow/") == ["airflow/a.txt"]
