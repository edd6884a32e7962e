"""The clusters of the API: kept and returned as they were asked for; the machine is always this one."""

import sys
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from google.cloud import dataproc_v1 as dp
from google.longrunning import operations_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from dataproc import filters, operations, validate
from dataproc.errors import already_exists, not_found, refused, unimplemented
from dataproc.jobs import Jobs
from dataproc.settings import Settings
from dataproc.store import Item, Key, Store, page
from dataproc.times import now

State: Any = dp.ClusterStatus.State
POLL_SECONDS = 0.05
IMAGE = "3.0-debian12"
LIVE = frozenset({"CREATING", "UPDATING", "RUNNING", "STARTING", "REPAIRING", "ERROR_DUE_TO_UPDATE"})
STATES: Mapping[str, frozenset[str]] = {
    "ACTIVE": LIVE,
    "INACTIVE": frozenset(state.name for state in State if state) - LIVE,
    **{state.name: frozenset({state.name}) for state in State if state},
}


class Clusters:
    """All clusters of the store, and the thread that completes what is begun on them."""

    def __init__(self, store: Store, settings: Settings, jobs: Jobs) -> None:
        self._store, self._settings, self._jobs = store, settings, jobs
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._complete_all, name="clusters", daemon=True)

    def start(self) -> None:
        """Complete operations from now on, those of an earlier life included."""
        self._thread.start()

    def close(self) -> None:
        """Complete no more; what is open is completed by the next life."""
        self._closing.set()
        self._thread.join()

    def create(self, request: dp.CreateClusterRequest) -> Any:
        """Begin to create a cluster; the operation."""
        project, region = request.project_id, request.region
        validate.place(project, region)
        validate.request_id(request.request_id)
        validate.cluster(request.cluster, project)
        key = Key("cluster", project, region, request.cluster.cluster_name)
        with self._store.transaction():
            if (before := self._answered(request, project, region)) is not None:
                return before
            if self._store.get(key) is not None:
                raise already_exists("Cluster", str(key))
            cluster = dp.Cluster(request.cluster)
            self._fill(cluster, key)
            return self._begin(key, cluster, "create", State.CREATING, request.request_id, State.ERROR)

    def get(self, request: dp.GetClusterRequest) -> dp.Cluster:
        """One cluster."""
        return self._cluster(self._key(request))

    def list(self, request: dp.ListClustersRequest) -> dp.ListClustersResponse:
        """A page of clusters, the newest first."""
        validate.place(request.project_id, request.region)
        conditions = filters.parse(request.filter, STATES, ("clusterName",), timed=False)

        def wanted(item: Item) -> bool:
            cluster = dp.Cluster.deserialize(item.body)
            thing = filters.Filtered(cluster.status.state.name, cluster.labels, {"clusterName": cluster.cluster_name})
            return filters.matches(conditions, STATES, thing)

        items, token = page(
            self._store,
            "cluster",
            request.project_id,
            request.region,
            request.page_size,
            request.page_token,
            request.filter,
            wanted,
        )
        clusters = [dp.Cluster.deserialize(item.body) for item in items]
        return dp.ListClustersResponse(clusters=clusters, next_page_token=token)

    def update(self, request: dp.UpdateClusterRequest) -> Any:
        """Begin to change labels or numbers of workers; the operation."""
        key = self._key(request)
        validate.request_id(request.request_id)
        paths = list(request.update_mask.paths)
        validate.cluster_mask(paths)
        validate.labels("cluster.labels", request.cluster.labels)
        validate.workers(request.cluster.config)
        with self._store.transaction():
            if (before := self._answered(request, key.project, key.region)) is not None:
                return before
            cluster = self._in(key, "updated", {State.RUNNING})
            changes = dp.Cluster.serialize(request.cluster).hex()
            return self._begin(key, cluster, "update", State.UPDATING, request.request_id, paths=paths, changes=changes)

    def delete(self, request: dp.DeleteClusterRequest) -> Any:
        """Begin to delete a cluster, its jobs cancelled; the operation."""
        return self._simply(request, "delete", State.DELETING, set(State) - {State.DELETING})

    def stop(self, request: dp.StopClusterRequest) -> Any:
        """Begin to stop a cluster; the operation."""
        return self._simply(request, "stop", State.STOPPING, {State.RUNNING})

    def start_cluster(self, request: dp.StartClusterRequest) -> Any:
        """Begin to start a stopped cluster; the operation."""
        return self._simply(request, "start", State.STARTING, {State.STOPPED})

    def diagnose(self, _: dp.DiagnoseClusterRequest) -> Any:
        """Not done here: there are no machines to diagnose."""
        raise unimplemented("diagnose: this server has no machines to diagnose")

    def _simply(self, request: Any, verb: str, to: int, states: set[int]) -> Any:
        key = self._key(request)
        validate.request_id(request.request_id)
        with self._store.transaction():
            if (before := self._answered(request, key.project, key.region)) is not None:
                return before
            cluster = self._cluster(key)
            if request.cluster_uuid not in ("", cluster.cluster_uuid):
                raise not_found("Cluster", f"{key} with cluster_uuid {request.cluster_uuid}")
            cluster = self._in(key, {"stop": "stopped"}.get(verb, f"{verb.rstrip('e')}ed"), states)
            if verb == "delete":
                self._jobs.abandon(key)
            return self._begin(key, cluster, verb, to, request.request_id)

    def _fill(self, cluster: dp.Cluster, key: Key) -> None:
        """Fill in what the service fills in."""
        cluster.project_id = key.project
        cluster.cluster_uuid = str(uuid.uuid4())
        cluster.status_history = []
        cluster.metrics = dp.ClusterMetrics()
        cluster.labels.update(
            {
                "goog-dataproc-cluster-name": key.name,
                "goog-dataproc-cluster-uuid": cluster.cluster_uuid,
                "goog-dataproc-location": key.region,
            }
        )
        config = cluster.config
        zone = config.gce_cluster_config.zone_uri or f"{key.region}-a"
        if "/" not in zone:
            zone = f"https://www.googleapis.com/compute/v1/projects/{key.project}/zones/{zone}"
        config.gce_cluster_config.zone_uri = zone
        config.config_bucket = config.config_bucket or self._settings.staging_bucket
        config.software_config.image_version = config.software_config.image_version or IMAGE
        config.master_config.num_instances = config.master_config.num_instances or 1
        single = config.software_config.properties.get("dataproc:dataproc.allow.zero.workers") == "true"
        if not single:
            config.worker_config.num_instances = config.worker_config.num_instances or 2

    def _begin(
        self,
        key: Key,
        cluster: dp.Cluster,
        verb: str,
        to: int,
        request_id: str,
        before: int | None = None,
        **extra: Any,
    ) -> Any:
        was: Any = before if before is not None else cluster.status.state
        self._set(key, cluster, to)
        due = time.time() + self._settings.cluster_seconds
        item = operations.begin(self._store, key, cluster, verb, due, before=was.name, **extra)
        self._store.answer("operation", key.project, key.region, request_id, item.key.name)
        return operations_pb2.Operation.FromString(item.body)

    def _complete_all(self) -> None:
        while not self._closing.wait(POLL_SECONDS):
            try:
                for item in self._store.active("operation"):
                    if "verb" in item.extra and item.extra["due"] <= time.time():
                        self._complete(item.key)
            except Exception as error:  # noqa: BLE001  one operation's fault must not stop the others
                print(f"clusters: {type(error).__name__}: {error}", file=sys.stderr, flush=True)

    def _complete(self, operation: Key) -> None:
        with self._store.transaction():
            item = self._store.get(operation)
            if item is None or not item.active:
                return
            key = Key("cluster", operation.project, operation.region, str(item.extra["cluster"]))
            stored = self._store.get(key)
            if stored is None:
                operations.end(self._store, item, error=not_found("Cluster", str(key)))
                return
            cluster = dp.Cluster.deserialize(stored.body)
            verb = item.extra["verb"]
            if verb == "delete":
                self._store.remove(key)
                operations.end(self._store, item)
                return
            if verb == "update":
                changes = dp.Cluster.deserialize(bytes.fromhex(item.extra["changes"]))
                mask = FieldMask(paths=item.extra["paths"])
                mask.MergeMessage(dp.Cluster.pb(changes), dp.Cluster.pb(cluster), True, True)
            self._set(key, cluster, State.STOPPED if verb == "stop" else State.RUNNING)
            operations.end(self._store, item, cluster)

    def _set(self, key: Key, cluster: dp.Cluster, to: int) -> None:
        if cluster.status.state:
            cluster.status_history.append(cluster.status)
        cluster.status = dp.ClusterStatus(state=to, state_start_time=now())
        self._store.put(Item(key, dp.Cluster.serialize(cluster)))

    def _in(self, key: Key, done: str, states: set[int]) -> dp.Cluster:
        cluster = self._cluster(key)
        if cluster.status.state not in states:
            raise refused(f"Cluster {key} cannot be {done}: it is in state {cluster.status.state.name}")
        return cluster

    def _answered(self, request: Any, project: str, region: str) -> Any:
        name = self._store.answered("operation", project, region, request.request_id)
        item = self._store.get(Key("operation", project, region, name)) if name else None
        return operations_pb2.Operation.FromString(item.body) if item else None

    def _cluster(self, key: Key) -> dp.Cluster:
        item = self._store.get(key)
        if item is None:
            raise not_found("Cluster", str(key))
        found: dp.Cluster = dp.Cluster.deserialize(item.body)
        return found

    def _key(self, request: Any) -> Key:
        validate.place(request.project_id, request.region)
        validate.cluster_name("cluster_name", request.cluster_name)
        return Key("cluster", request.project_id, request.region, request.cluster_name)
