"""The standalone cluster: started when jobs shall run there, healed when a part dies, executors that can be killed."""

import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import jars
import psutil
import pytest
import supervisor
from buckets import Store
from cluster_service import Cluster
from cluster_training import BUCKET, MODEL, ROWS, driver_output, executors, trained
from daemons import lives
from dataproc_server import Clients, Server, states, wait_for
from dataproc_service import Dataproc
from gcs_service import Gcs
from mlflow.tracking import MlflowClient
from services import ServiceError, free_port
from supervisor import environment


def listening(processes: list[psutil.Process]) -> set[str]:
    """The addresses on which they listen."""
    return {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


class DataprocOfTheStore(Dataproc):
    """A Dataproc server beside the object store of the run."""

    known: Mapping[str, str]

    def launch(self, env: Mapping[str, str]) -> None:
        super().launch({**env, **self.known})


@pytest.fixture(scope="module")
def stack(gcs: Gcs, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[tuple[Cluster, DataprocOfTheStore]]":
    """A cluster and a Dataproc server whose jobs run there, not started yet."""
    folder = tmp_path_factory.mktemp("stack")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DATAPROC_SPARK_MASTER", "cluster")
        for key in Dataproc.section_keys:
            patched.setenv(f"DATAPROC_{key.upper()}", str(free_port()))
        cluster = Cluster(folder / "cluster", {key: free_port() for key in Cluster.section_keys})
        dataproc = DataprocOfTheStore(folder / "dataproc")
        dataproc.known = {**gcs.exports(), "SENTIMENT_JARS": ",".join(jars.connector_jars())}
        yield cluster, dataproc
        dataproc.stop()
        cluster.stop()


Stack = tuple[Cluster, DataprocOfTheStore]


def up(stack: Stack, *chosen: str) -> None:
    supervisor.up(stack, chosen, dict, stack[0].folder.parent / "env")


def pids(cluster: Cluster) -> list[int | None]:
    return [daemon.pid() for daemon in cluster.daemons]


def test_it_starts_only_where_the_settings_or_the_user_want_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster, dataproc = stack
    assert cluster.by_default()
    with pytest.raises(ServiceError, match=r'^dataproc: spark_master is "cluster": want cluster to run too, found it'):
        up(stack, "dataproc")
    monkeypatch.setenv("DATAPROC_SPARK_MASTER", "yarn")
    with pytest.raises(ServiceError, match=r"^dataproc: want DATAPROC_SPARK_MASTER .* local\[N\] or cluster, found 'y"):
        up(stack, "dataproc")
    monkeypatch.delenv("DATAPROC_SPARK_MASTER")
    assert not cluster.by_default()
    supervisor.up([cluster], [], dict, tmp_path / "env")
    assert (cluster.state(), dataproc.state()) == ("stopped", "stopped")


def test_a_port_in_use_is_named_with_its_setting_and_nothing_starts(stack: Stack) -> None:
    cluster, _ = stack
    port = cluster.ports()["worker_2_webui_port"]
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ServiceError) as caught:
        up(stack, "cluster")
    assert str(caught.value).startswith(f"cluster: want port {port} on 127.0.0.1, but another program has it")
    assert "set CLUSTER_WORKER_2_WEBUI_PORT (or worker_2_webui_port under [cluster] in" in str(caught.value)
    assert pids(cluster) == [None, None, None]


ASK = """
import time
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
spark.sparkContext.parallelize(range(8), 8).map(lambda each: time.sleep(0.2)).count()
print("ran on", spark.sparkContext.master, spark.sparkContext.defaultParallelism, flush=True)
time.sleep(60)
"""


def test_jobs_of_the_dataproc_server_run_in_executors_of_the_cluster_on_127_0_0_1(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster, dataproc = stack
    up(stack)
    before = pids(cluster)
    up(stack)
    assert pids(cluster) == before
    assert None not in before
    assert f"export SPARK_MASTER_URL={cluster.url()}\n" in (cluster.folder.parent / "env").read_text()
    assert re.search(rf"^cluster +{cluster.address()} +running +\d{{3,}} MiB ", capsys.readouterr().out, re.MULTILINE)
    server = Server(tmp_path / "unused")
    server.grpc_port, server.rest_port = (dataproc.ports()[key] for key in Dataproc.section_keys)
    clients = Clients(server, "grpc")
    (tmp_path / "ask.py").write_text(ASK, encoding="utf-8")
    properties = {"spark.executor.memory": "512m", "spark.driver.memory": "512m"}
    job = clients.submit(tmp_path / "ask.py", pyspark={"properties": properties})
    wait_for(lambda: "ran on" in driver_output(dataproc) or clients.job(job.reference.job_id).done, 240)
    assert f"ran on {cluster.url()} 4" in driver_output(dataproc)
    running = executors(cluster)
    assert len(running) == 2
    everything = [process for service in stack for daemon in service.daemons for process in daemon.family()]
    assert {process.pid for process in running} < {process.pid for process in everything}
    assert listening(everything) == {"127.0.0.1"}
    assert listening(psutil.Process(dataproc.daemon.pid()).children(recursive=True)) == {"127.0.0.1"}  # the driver
    clients.jobs.cancel_job(
        request={"project_id": "sentiment-local", "region": "us-central1", "job_id": job.reference.job_id}
    )
    assert states(clients.ended(job))[-1] == "CANCELLED"
    wait_for(lambda: not executors(cluster))


@pytest.mark.spark
@pytest.mark.gcloud
def test_a_training_by_gcloud_on_gs_that_loses_an_executor_ends_well(
    stack: Stack, gcs: Gcs, sample_csv: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cluster, dataproc = stack
    up(stack)
    shell = environment({**dataproc.known, **dataproc.exports()})
    training = trained(cluster, dataproc, sample_csv, tmp_path_factory.mktemp("gcloud-training"), shell)
    folder, place = training.folder, training.place
    assert training.code == 0, training.said[-3000:]
    assert "finished successfully" in training.said
    assert f"{MODEL}: registering and reading back" in training.said.replace("twitter-sentiment-model-", "")
    assert re.search(r"Lost executor \d", training.said), training.said[-3000:]
    client = MlflowClient(training.uri, training.uri)
    (version,) = client.search_model_versions(f"name='twitter-sentiment-model-{MODEL}'")
    assert str(client.get_model_version_by_alias("twitter-sentiment-model-best", "champion").version) == "1"
    run = client.get_run(str(version.run_id))
    assert run.data.metrics["accuracy"] > 0.5
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.data.params["input"] == f"{place}/raw/"
    with Store(gcs.port) as store:
        told = json.loads(store.read(BUCKET, f"{folder.name}/run1/run.json"))
        names = [str(found["name"]) for found in store.objects(BUCKET)]
    assert told["state"] == "finished"
    assert any(name.startswith(f"{folder.name}/run1/{MODEL}/sparkml/") for name in names)
    counted = sum(int(count) for name, count in parent.data.params.items() if name.startswith("rows_"))
    assert 0.7 * ROWS < counted <= ROWS
    assert not os.path.lexists(folder / "spark-warehouse")


def test_a_dead_worker_is_told_with_its_log_and_up_starts_that_one_alone(stack: Stack) -> None:
    cluster, _ = stack
    up(stack, "cluster")
    before = pids(cluster)
    cluster.workers[1].kill()
    assert cluster.state() == "died"
    with pytest.raises(ServiceError, match=r"(?s)^cluster: died; the end of .*worker-2\.log:\n.*INFO Worker: "):
        supervisor.status(stack[:1])
    up(stack, "cluster")
    after = pids(cluster)
    assert after[:2] == before[:2]
    assert after[2] not in (None, before[2])
    supervisor.status(stack[:1])


def test_a_dead_master_takes_the_workers_along_and_down_leaves_nothing(stack: Stack) -> None:
    cluster, _ = stack
    up(stack, "cluster")
    before = pids(cluster)
    cluster.daemon.kill()
    assert cluster.state() == "died"
    up(stack, "cluster")
    assert not set(before) & {None, *pids(cluster)}
    family = [process for daemon in cluster.daemons for process in daemon.family()]
    assert len(family) == 3
    supervisor.down(stack[:1], [], dict, cluster.folder.parent / "env")
    assert not any(lives(process) for process in family)
    assert cluster.state() == "stopped"
    assert not listening([process for process in family if lives(process)])
