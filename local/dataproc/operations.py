"""Long-running operations: on clusters, and of jobs that were submitted as one."""

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from google.cloud import dataproc_v1 as dp
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from grpc import StatusCode

from dataproc import filters, validate
from dataproc.errors import ApiError, invalid, not_found, refused
from dataproc.jobs import Jobs
from dataproc.lifecycle import TERMINAL, State
from dataproc.store import Item, Key, Store, page
from dataproc.times import now

Phase: Any = dp.ClusterOperationStatus.State
ClusterState: Any = dp.ClusterStatus.State
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.1
STATES: Mapping[str, frozenset[str]] = {
    "ACTIVE": frozenset({"PENDING", "RUNNING"}),
    "NON_ACTIVE": frozenset({"DONE"}),
    **{phase.name: frozenset({phase.name}) for phase in Phase if phase},
}

FIELDS = ("clusterName", "operationType")
WORDS = {"operation_state_matcher": "status.state", "cluster_name": "clusterName"}


def begin(store: Store, cluster: Key, value: dp.Cluster, verb: str, due: float, **extra: Any) -> Item:
    """Store a running operation on a cluster, to be completed at `due`, in seconds since 1970."""
    metadata = dp.ClusterOperationMetadata(
        cluster_name=cluster.name,
        cluster_uuid=value.cluster_uuid,
        operation_type=verb.upper(),
        description=f"{verb.capitalize()} cluster {cluster.name}",
        labels=dict(value.labels),
        status=dp.ClusterOperationStatus(state=Phase.RUNNING, inner_state="RUNNING", state_start_time=now()),
    )
    metadata.status_history.append(dp.ClusterOperationStatus(state=Phase.PENDING, state_start_time=now()))
    key = Key("operation", cluster.project, cluster.region, str(uuid.uuid4()))
    message = operations_pb2.Operation(name=str(key))
    message.metadata.Pack(dp.ClusterOperationMetadata.pb(metadata))
    item = Item(key, message.SerializeToString(), True, {"due": due, "verb": verb, "cluster": cluster.name, **extra})
    store.put(item)
    return item


def end(store: Store, item: Item, response: Any = None, error: ApiError | None = None) -> None:
    """Complete an operation on a cluster with its response (None: an empty one) or an error."""
    message = operations_pb2.Operation.FromString(item.body)
    metadata = _cluster_metadata(message)
    metadata.status_history.append(metadata.status)
    details = str(error) if error else ""
    metadata.status = dp.ClusterOperationStatus(
        state=Phase.DONE, inner_state="DONE", details=details, state_start_time=now()
    )
    message.metadata.Pack(dp.ClusterOperationMetadata.pb(metadata))
    _conclude(message, dp.Cluster.pb(response) if response is not None else empty_pb2.Empty(), error)
    store.put(Item(item.key, message.SerializeToString(), False, item.extra))


def _conclude(message: Any, response: Any, error: ApiError | None) -> None:
    message.done = True
    if error is None:
        message.response.Pack(response)
    else:
        message.error.code, message.error.message = error.code.value[0], str(error)


def _cluster_metadata(message: Any) -> dp.ClusterOperationMetadata:
    metadata = dp.ClusterOperationMetadata()
    message.metadata.Unpack(dp.ClusterOperationMetadata.pb(metadata))
    return metadata


def _as_words(text: str) -> str:
    """A filter as gcloud's own flags write it, `{"cluster_name": "c"}`, as the other kind; that kind as it is."""
    if not text.startswith("{"):
        return text
    try:
        asked = json.loads(text)
        return " AND ".join(f'{WORDS[name]} = "{value}"' for name, value in asked.items() if name != "project_id")
    except (ValueError, KeyError, AttributeError):
        raise invalid(f"filter: want JSON with {' and '.join(WORDS)}, got {text!r}") from None


class Operations:
    """The operations of the API."""

    def __init__(self, store: Store, jobs: Jobs) -> None:
        self._store, self._jobs = store, jobs

    def submit_job(self, request: dp.SubmitJobRequest) -> Any:
        """Submit a job as an operation whose response is the job once it is done."""
        with self._store.transaction():
            job = self._jobs.submit(request)
            key = Key("operation", request.project_id, request.region, f"job-{job.job_uuid}")
            item = self._store.get(key)
            if item is None:
                message = operations_pb2.Operation(name=str(key))
                item = Item(key, message.SerializeToString(), True, {"job": job.reference.job_id})
            return self._message(item, keep=True)

    def get(self, request: Any) -> Any:
        """One operation as it stands."""
        return self._message(self._item(request.name))

    def list(self, request: Any) -> Any:
        """A page of a region's operations, the newest first."""
        parts = request.name.split("/")
        if len(parts) != 5 or parts[0::2] != ["projects", "regions", "operations"]:
            raise invalid(f"name: want projects/PROJECT/regions/REGION/operations, got {request.name!r}")
        validate.place(parts[1], parts[3])
        conditions = filters.parse(_as_words(request.filter), STATES, FIELDS, timed=False)

        def wanted(item: Item) -> bool:
            message = self._message(item)
            metadata = _cluster_metadata(message)
            state = "DONE" if message.done else "RUNNING"
            fields = {"clusterName": metadata.cluster_name, "operationType": metadata.operation_type}
            thing = filters.Filtered(state, metadata.labels, fields)
            return filters.matches(conditions, STATES, thing)

        items, token = page(
            self._store, "operation", parts[1], parts[3], request.page_size, request.page_token, request.filter, wanted
        )
        found = [self._message(item) for item in items]
        return operations_pb2.ListOperationsResponse(operations=found, next_page_token=token)

    def wait(self, request: Any) -> Any:
        """The operation when it is done, or as it stands after the request's timeout (at most 60 s)."""
        asked = request.timeout.ToNanoseconds() / 1e9 if request.HasField("timeout") else WAIT_SECONDS
        until = time.monotonic() + min(asked, WAIT_SECONDS)
        while not (message := self.get(request)).done and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        return message

    def cancel(self, request: Any) -> Any:
        """Ask an operation to stop: a job is cancelled, a cluster's operation undone; one that is done stays done."""
        item = self._item(request.name)
        if item.active and "job" in item.extra and not self._message(item).done:
            self._jobs.cancel(
                dp.CancelJobRequest(project_id=item.key.project, region=item.key.region, job_id=str(item.extra["job"]))
            )
        elif item.active and "verb" in item.extra:
            with self._store.transaction():
                current = self._item(request.name)
                if current.active:
                    self._undo(current)
        return empty_pb2.Empty()

    def delete(self, request: Any) -> Any:
        """Forget an operation that is done."""
        item = self._item(request.name)
        if not self._message(item).done:
            raise refused(f"Cannot delete operation {request.name}: it is not done; cancel it first")
        self._store.remove(item.key)
        return empty_pb2.Empty()

    def _undo(self, item: Item) -> None:
        """A cluster whose creation is cancelled is left in ERROR, any other as it was before."""
        key = Key("cluster", item.key.project, item.key.region, str(item.extra["cluster"]))
        stored, verb = self._store.get(key), item.extra["verb"]
        if stored is not None:
            cluster = dp.Cluster.deserialize(stored.body)
            before = ClusterState[item.extra["before"]]
            cluster.status_history.append(cluster.status)
            cluster.status = dp.ClusterStatus(state=before, detail=f"{verb} was cancelled", state_start_time=now())
            self._store.put(Item(key, dp.Cluster.serialize(cluster), stored.active, stored.extra))
        end(self._store, item, error=ApiError(StatusCode.CANCELLED, f"{verb} was cancelled"))

    def _message(self, item: Item, keep: bool = False) -> Any:
        """The operation as it stands; that of a job follows the job."""
        message = operations_pb2.Operation.FromString(item.body)
        if "job" not in item.extra or message.done:
            return message
        place = {"project_id": item.key.project, "region": item.key.region}
        try:
            job = self._jobs.get(dp.GetJobRequest(job_id=str(item.extra["job"]), **place))
        except ApiError as error:
            _conclude(message, None, error)
        else:
            started = (*job.status_history, job.status)[0].state_start_time
            metadata = dp.JobMetadata(
                job_id=job.reference.job_id, status=job.status, operation_type="SUBMIT_JOB", start_time=started
            )
            message.metadata.Pack(dp.JobMetadata.pb(metadata))
            if job.status.state in TERMINAL:
                code = StatusCode.CANCELLED if job.status.state == State.CANCELLED else StatusCode.ABORTED
                failed = job.status.state != State.DONE
                _conclude(message, dp.Job.pb(job), ApiError(code, job.status.details) if failed else None)
        if keep or message.done:
            self._store.put(Item(item.key, message.SerializeToString(), not message.done, item.extra))
        return message

    def _item(self, name: str) -> Item:
        parts = name.split("/")
        if len(parts) != 6 or parts[0:5:2] != ["projects", "regions", "operations"]:
            raise invalid(f"name: want projects/PROJECT/regions/REGION/operations/ID, got {name!r}")
        validate.place(parts[1], parts[3])
        item = self._store.get(Key("operation", parts[1], parts[3], parts[5]))
        if item is None:
            raise not_found("Operation", name)
        return item
