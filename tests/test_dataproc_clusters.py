"""Clusters and long-running operations, by the real clients over both transports."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dataproc_server import CLUSTER, PLACE, QUICK, Clients, Server, State, states
from google.api_core import exceptions
from google.cloud import dataproc_v1 as dp
from google.longrunning import operations_pb2

Phase: Any = dp.ClusterStatus.State
OPERATIONS = f"projects/{PLACE['project_id']}/regions/{PLACE['region']}/operations"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("dataproc"), "--cluster-seconds", "0.4", "--cancel-seconds", "2")
    made.start()
    yield made
    made.stop()


@pytest.fixture(params=["grpc", "rest"])
def clients(server: Server, request: pytest.FixtureRequest) -> Clients:
    return Clients(server, request.param)


@pytest.fixture
def name(clients: Clients, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name of the test's own; the cluster is gone afterwards."""
    made = f"c-{clients.transport}-{abs(hash(request.node.name)) % 10**8}"
    yield made
    with contextlib.suppress(exceptions.NotFound):
        clients.clusters.delete_cluster(request={**PLACE, "cluster_name": made}).result(timeout=30, polling=QUICK)


def create(clients: Clients, cluster_name: str, request_id: str = "", **fields: Any) -> Any:
    """Begin to create a cluster; the operation's future."""
    cluster = {"project_id": PLACE["project_id"], "cluster_name": cluster_name, "config": {}, **fields}
    return clients.clusters.create_cluster(request={**PLACE, "cluster": cluster, "request_id": request_id})


def get(clients: Clients, name: str) -> dp.Cluster:
    found: dp.Cluster = clients.clusters.get_cluster(request={**PLACE, "cluster_name": name})
    return found


def test_a_cluster_is_kept_as_asked_for_with_what_the_service_fills_in(clients: Clients, name: str) -> None:
    config = {
        "initialization_actions": [{"executable_file": "gs://b/init.sh", "execution_timeout": "600s"}],
        "gce_cluster_config": {"metadata": {"PIP_PACKAGES": "mlflow"}, "zone_uri": "us-central1-f"},
        "worker_config": {"num_instances": 3, "machine_type_uri": "n1-standard-4"},
        "software_config": {"image_version": "2.2-debian12", "properties": {"spark:spark.a": "1"}},
    }
    future = create(clients, name, config=config, labels={"env": "staging"})
    assert get(clients, name).status.state == Phase.CREATING
    assert future.metadata.operation_type == "CREATE"
    assert future.metadata.cluster_name == name
    made = future.result(timeout=30, polling=QUICK)
    assert made == get(clients, name)
    assert made.status.state == Phase.RUNNING
    assert [status.state for status in made.status_history] == [Phase.CREATING]
    assert made.labels["env"] == "staging"
    assert made.config.initialization_actions[0].executable_file == "gs://b/init.sh"
    assert dict(made.config.gce_cluster_config.metadata) == {"PIP_PACKAGES": "mlflow"}
    assert made.config.gce_cluster_config.zone_uri.endswith("/zones/us-central1-f")
    assert made.config.worker_config.machine_type_uri == "n1-standard-4"
    assert (made.config.worker_config.num_instances, made.config.master_config.num_instances) == (3, 1)
    assert made.cluster_uuid
    assert made.config.config_bucket


def test_workers_and_labels_are_updated_by_mask_and_nothing_else(clients: Clients, name: str) -> None:
    create(clients, name, labels={"env": "staging"}).result(timeout=30, polling=QUICK)
    request: dict[str, Any] = {**PLACE, "cluster_name": name}
    request["cluster"] = {"config": {"worker_config": {"num_instances": 5}}, "labels": {"env": "prod"}}
    future = clients.clusters.update_cluster(
        request={**request, "update_mask": {"paths": ["config.worker_config.num_instances"]}}
    )
    assert get(clients, name).status.state == Phase.UPDATING
    updated = future.result(timeout=30, polling=QUICK)
    assert (updated.config.worker_config.num_instances, updated.labels["env"]) == (5, "staging")
    both = {"paths": ["labels", "config.secondary_worker_config.num_instances"]}
    request["cluster"]["config"]["secondary_worker_config"] = {"num_instances": 2}
    updated = clients.clusters.update_cluster(request={**request, "update_mask": both}).result(
        timeout=30, polling=QUICK
    )
    assert (updated.config.secondary_worker_config.num_instances, dict(updated.labels)) == (2, {"env": "prod"})
    assert updated.config.worker_config.num_instances == 5
    for mask in (["cluster_uuid"], ["config.master_config.num_instances"], []):
        with pytest.raises(exceptions.BadRequest, match="update_mask"):
            clients.clusters.update_cluster(request={**request, "update_mask": {"paths": mask}})
    request["cluster"]["config"]["worker_config"] = {"num_instances": 1}
    with pytest.raises(exceptions.BadRequest, match="at least 2"):
        clients.clusters.update_cluster(request={**request, "update_mask": both})


def test_a_deleted_cluster_is_gone_and_its_jobs_are_cancelled(clients: Clients, name: str, tmp_path: Path) -> None:
    create(clients, name).result(timeout=30, polling=QUICK)
    (tmp_path / "main.py").write_text("import time; time.sleep(120)", encoding="utf-8")
    job = clients.submit(tmp_path / "main.py", placement={"cluster_name": name})
    clients.reached(job, State.RUNNING)
    future = clients.clusters.delete_cluster(request={**PLACE, "cluster_name": name})
    assert get(clients, name).status.state == Phase.DELETING
    with pytest.raises(exceptions.BadRequest, match="DELETING"):
        clients.submit(tmp_path / "main.py", placement={"cluster_name": name})
    future.result(timeout=30, polling=QUICK)
    with pytest.raises(exceptions.NotFound, match=name):
        get(clients, name)
    ended = clients.ended(job)
    assert states(ended)[-1] == "CANCELLED"
    assert "Cluster was deleted" in ended.status.details


def test_a_stopped_cluster_takes_no_jobs_until_it_is_started(clients: Clients, name: str, tmp_path: Path) -> None:
    create(clients, name).result(timeout=30, polling=QUICK)
    request = {**PLACE, "cluster_name": name}
    assert (
        clients.clusters.stop_cluster(request=request).result(timeout=30, polling=QUICK).status.state == Phase.STOPPED
    )
    (tmp_path / "main.py").write_text("pass", encoding="utf-8")
    with pytest.raises(exceptions.BadRequest, match="STOPPED"):
        clients.submit(tmp_path / "main.py", placement={"cluster_name": name})
    with pytest.raises(exceptions.BadRequest, match="STOPPED"):
        clients.clusters.stop_cluster(request=request)
    assert (
        clients.clusters.start_cluster(request=request).result(timeout=30, polling=QUICK).status.state == Phase.RUNNING
    )


def test_a_repeated_request_id_gives_the_first_operation_and_a_repeated_name_an_error(
    clients: Clients, name: str
) -> None:
    first, again = create(clients, name, name), create(clients, name, name)
    assert first.operation.name == again.operation.name
    with pytest.raises(exceptions.Conflict, match=name):
        create(clients, name)
    first.result(timeout=30, polling=QUICK)


def test_what_is_unknown_is_not_found(clients: Clients) -> None:
    unknown: dict[str, Any] = {**PLACE, "cluster_name": "unknown"}
    update = {"cluster": {}, "update_mask": {"paths": ["labels"]}}
    name = f"{OPERATIONS}/unknown"
    calls: list[Callable[[], Any]] = [
        lambda: clients.clusters.get_cluster(request=unknown),
        lambda: clients.clusters.delete_cluster(request=unknown),
        lambda: clients.clusters.stop_cluster(request=unknown),
        lambda: clients.clusters.start_cluster(request=unknown),
        lambda: clients.clusters.update_cluster(request={**unknown, **update}),
        lambda: clients.clusters.delete_cluster(request={**PLACE, "cluster_name": CLUSTER, "cluster_uuid": "unknown"}),
        lambda: clients.clusters.get_operation({"name": name}),
        lambda: clients.clusters.cancel_operation({"name": name}),
        lambda: clients.clusters.delete_operation({"name": name}),
    ]
    for call in calls:
        with pytest.raises(exceptions.NotFound, match="unknown"):
            call()


@pytest.mark.parametrize(
    ("cluster", "named"),
    [
        ({"cluster_name": "Upper"}, "cluster_name"),
        ({"cluster_name": "ends-"}, "cluster_name"),
        ({"cluster_name": "c" * 53}, "cluster_name"),
        ({"project_id": "other"}, "project_id"),
        ({"labels": {"k": "UPPER"}}, "labels"),
        ({"config": {"worker_config": {"num_instances": 1}}}, "worker_config"),
        ({"config": {"master_config": {"num_instances": 2}}}, "master_config"),
        ({"config": {"initialization_actions": [{}]}}, "initialization_actions"),
    ],
)
def test_a_malformed_cluster_is_refused_and_the_field_named(
    clients: Clients, cluster: dict[str, Any], named: str
) -> None:
    with pytest.raises(exceptions.BadRequest, match=named):
        create(clients, **{"cluster_name": "fine", **cluster})


@pytest.mark.parametrize("region", ["us-nowhere1", "us-central", "Mars"])
def test_a_region_that_google_does_not_have_is_refused_in_its_words(clients: Clients, region: str) -> None:
    here, elsewhere = {**PLACE, "region": region}, OPERATIONS.replace(PLACE["region"], region)
    calls: list[Callable[[], Any]] = [
        lambda: clients.clusters.list_clusters(request=here),
        lambda: clients.clusters.create_cluster(request={**here, "cluster": {"cluster_name": "fine"}}),
        lambda: clients.jobs.list_jobs(request=here),
        lambda: clients.clusters.list_operations({"name": elsewhere}),
        lambda: clients.clusters.get_operation({"name": f"{elsewhere}/any"}),
    ]
    for call in calls:
        with pytest.raises(
            exceptions.Forbidden, match=rf"Permission denied on 'locations/{region}' \(or it may not exist\)"
        ):
            call()
    assert list(clients.clusters.list_clusters(request={**PLACE, "region": "asia-southeast3"})) == []


def test_project_and_request_id_are_checked(clients: Clients) -> None:
    with pytest.raises(exceptions.BadRequest, match="project_id"):
        clients.clusters.list_clusters(request={**PLACE, "project_id": "UPPER"})
    with pytest.raises(exceptions.BadRequest, match="request_id"):
        create(clients, "fine", "not valid!")


def test_clusters_are_listed_by_filter_and_page(clients: Clients, name: str) -> None:
    future = create(clients, name, labels={"mark": clients.transport})

    def listed(filter_: str, **fields: Any) -> list[str]:
        found = clients.clusters.list_clusters(request={**PLACE, "filter": filter_, **fields})
        return [cluster.cluster_name for cluster in found]

    future.result(timeout=30, polling=QUICK)
    assert listed(f"status.state = ACTIVE AND clusterName = {name}") == [name]
    assert listed(f"status.state = INACTIVE AND clusterName = {name}") == []
    assert listed(f"labels.mark = {clients.transport}") == [name]
    assert listed("", page_size=1)[:1] == [name]
    assert CLUSTER in listed("", page_size=1)
    with pytest.raises(exceptions.BadRequest, match="filter"):
        listed("zone = here")


def test_operations_are_got_listed_waited_for_cancelled_and_deleted(clients: Clients, name: str) -> None:
    future = create(clients, name, labels={"env": "staging"})
    operation = {"name": future.operation.name}
    with pytest.raises(exceptions.BadRequest, match="not done"):
        clients.clusters.delete_operation(operation)
    listed = clients.clusters.list_operations({"name": OPERATIONS, "filter": f"clusterName = {name}"})
    assert [found.name for found in listed.operations] == [future.operation.name]
    future.result(timeout=30, polling=QUICK)
    assert clients.clusters.get_operation(operation).done
    active = f"status.state = ACTIVE AND clusterName = {name}"
    assert not clients.clusters.list_operations({"name": OPERATIONS, "filter": active}).operations
    own = f'{{"cluster_name": "{name}", "operation_state_matcher": "NON_ACTIVE"}}'  # as gcloud's flags write it
    assert clients.clusters.list_operations({"name": OPERATIONS, "filter": own}).operations
    update = {"cluster": {"labels": {"env": "prod"}}, "update_mask": {"paths": ["labels"]}}
    future = clients.clusters.update_cluster(request={**PLACE, "cluster_name": name, **update})
    clients.clusters.cancel_operation({"name": future.operation.name})
    with pytest.raises(exceptions.GoogleAPICallError, match="cancelled"):
        future.result(timeout=30, polling=QUICK)
    left = get(clients, name)
    assert (left.status.state, left.labels["env"]) == (Phase.RUNNING, "staging")
    clients.clusters.delete_operation(operation)
    with pytest.raises(exceptions.NotFound):
        clients.clusters.get_operation(operation)


def test_wait_returns_when_the_operation_is_done(server: Server, name: str) -> None:
    import grpc

    future = create(Clients(server, "grpc"), name)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        wait = channel.unary_unary(
            "/google.longrunning.Operations/WaitOperation",
            request_serializer=operations_pb2.WaitOperationRequest.SerializeToString,
            response_deserializer=operations_pb2.Operation.FromString,
        )
        request = operations_pb2.WaitOperationRequest(name=future.operation.name)
        request.timeout.FromMilliseconds(1)
        assert not wait(request).done
        request.timeout.FromSeconds(30)
        assert wait(request).done


def test_cancelling_a_job_operation_cancels_the_job(clients: Clients, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import time; time.sleep(120)", encoding="utf-8")
    job = {"placement": {"cluster_name": CLUSTER}, "pyspark_job": {"main_python_file_uri": str(tmp_path / "main.py")}}
    future = clients.jobs.submit_job_as_operation(request={**PLACE, "job": job})
    clients.jobs.cancel_operation({"name": future.operation.name})
    with pytest.raises(exceptions.GoogleAPICallError, match="cancelled"):
        future.result(timeout=30, polling=QUICK)
    assert clients.job(future.metadata.job_id).status.state == State.CANCELLED


def test_diagnose_is_not_implemented(clients: Clients) -> None:
    with pytest.raises(exceptions.MethodNotImplemented):
        clients.clusters.diagnose_cluster(request={**PLACE, "cluster_name": CLUSTER})
