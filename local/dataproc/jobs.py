"""The jobs of the API: submit, get, list, update, cancel, delete."""

import shutil
import threading
import uuid
from collections.abc import Mapping

from google.cloud import dataproc_v1 as dp
from google.protobuf.field_mask_pb2 import FieldMask

from dataproc import filters, validate
from dataproc.errors import already_exists, not_found, refused
from dataproc.lifecycle import TERMINAL, JobRun, State, move
from dataproc.settings import Settings
from dataproc.store import Item, Key, Store, page
from dataproc.times import moment, now

ACCEPTING = {dp.ClusterStatus.State.RUNNING, dp.ClusterStatus.State.UPDATING}
ACTIVE = frozenset(state.name for state in State if state not in TERMINAL)
STATES: Mapping[str, frozenset[str]] = {
    "ACTIVE": ACTIVE,
    "NON_ACTIVE": frozenset(state.name for state in TERMINAL),
    **{state.name: frozenset({state.name}) for state in State if state},
}
CLUSTER_FIELDS = ("clusterName", "placement.clusterName")


class Jobs:
    """All jobs of the store, and the threads that lead them."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._runs: dict[Key, JobRun] = {}

    def resume(self) -> None:
        """Take up every job that was left at work."""
        for item in self._store.active("job"):
            self._run(item.key)

    def close(self) -> None:
        """Stop the drivers; their jobs end as errors. Returns when all is written."""
        self._closing.set()
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            run.join(self._settings.patience + 10)

    def submit(self, request: dp.SubmitJobRequest) -> dp.Job:
        """Accept a job; a request id that was there before gives the first job."""
        project, region = request.project_id, request.region
        validate.place(project, region)
        validate.request_id(request.request_id)
        validate.job(request.job, project)
        with self._store.transaction():
            before = self._store.answered("job", project, region, request.request_id)
            if before is not None:
                return self._job(Key("job", project, region, before))
            job = dp.Job(request.job)
            cluster = self._cluster(project, region, job.placement)
            key = Key("job", project, region, job.reference.job_id or str(uuid.uuid4()))
            if self._store.get(key) is not None:
                raise already_exists("Job", str(key))
            self._complete(job, key, cluster)
            self._store.put(Item(key, dp.Job.serialize(job), True, {"attempt": 1}))
            self._store.answer("job", project, region, request.request_id, key.name)
        self._run(key)
        return job

    def get(self, request: dp.GetJobRequest) -> dp.Job:
        """One job."""
        return self._job(self._key(request.project_id, request.region, request.job_id))

    def list(self, request: dp.ListJobsRequest) -> dp.ListJobsResponse:
        """A page of jobs, the newest first; with a filter the state matcher does not count, as in the service."""
        validate.place(request.project_id, request.region)
        conditions = filters.parse(request.filter, STATES, CLUSTER_FIELDS, timed=True)
        matcher = dp.ListJobsRequest.JobStateMatcher
        if not request.filter and request.job_state_matcher != matcher.ALL:
            conditions = [filters.Condition("status.state", "=", matcher(request.job_state_matcher).name)]

        def wanted(item: Item) -> bool:
            job = dp.Job.deserialize(item.body)
            times = [status.state_start_time for status in (*job.status_history, job.status)]
            cluster = job.placement.cluster_name
            fields = dict.fromkeys(CLUSTER_FIELDS, cluster)
            thing = filters.Filtered(job.status.state.name, job.labels, fields, moment(times[0]))
            return request.cluster_name in ("", cluster) and filters.matches(conditions, STATES, thing)

        query = f"{request.filter}\n{request.cluster_name}\n{request.job_state_matcher}"
        items, token = page(
            self._store, "job", request.project_id, request.region, request.page_size, request.page_token, query, wanted
        )
        jobs = [dp.Job.deserialize(item.body) for item in items]
        return dp.ListJobsResponse(jobs=jobs, next_page_token=token)

    def update(self, request: dp.UpdateJobRequest) -> dp.Job:
        """New labels for a job."""
        key = self._key(request.project_id, request.region, request.job_id)
        validate.job_mask(request.update_mask.paths)
        validate.labels("job.labels", request.job.labels)
        with self._store.transaction():
            job = self._job(key)
            FieldMask(paths=["labels"]).MergeMessage(dp.Job.pb(request.job), dp.Job.pb(job), True, True)
            item = self._store.get(key)
            assert item is not None
            self._store.put(Item(key, dp.Job.serialize(job), item.active, item.extra))
        return job

    def cancel(self, request: dp.CancelJobRequest) -> dp.Job:
        """Ask a job to stop; one that stops already is given as it is."""
        key = self._key(request.project_id, request.region, request.job_id)
        states = {State.PENDING, State.SETUP_DONE, State.RUNNING, State.ATTEMPT_FAILURE}
        with self._store.transaction():
            job = self._job(key)
            if job.status.state in TERMINAL:
                raise refused(f"Cannot cancel job {key}: it is in state {job.status.state.name}")
            return move(self._store, key, states, State.CANCEL_PENDING) or job

    def delete(self, request: dp.DeleteJobRequest) -> None:
        """Forget a job that is done, and its files."""
        key = self._key(request.project_id, request.region, request.job_id)
        with self._store.transaction():
            job = self._job(key)
            if job.status.state not in TERMINAL:
                raise refused(f"Cannot delete job {key}: it is in state {job.status.state.name}; cancel it first")
            self._store.remove(key)
        shutil.rmtree(self._settings.folder / "jobs" / job.job_uuid, ignore_errors=True)

    def abandon(self, cluster: Key) -> None:
        """Cancel what runs on a cluster that is going."""
        for item in self._store.active("job"):
            job = dp.Job.deserialize(item.body)
            same = (item.key.project, item.key.region) == (cluster.project, cluster.region)
            if same and job.placement.cluster_name == cluster.name:
                states = {State.PENDING, State.SETUP_DONE, State.RUNNING, State.ATTEMPT_FAILURE}
                move(self._store, item.key, states, State.CANCEL_PENDING, "Cluster was deleted")

    def _complete(self, job: dp.Job, key: Key, cluster: dp.Cluster) -> None:
        """Fill in what the service fills in; what a client gave for output-only fields does not count."""
        job.reference = dp.JobReference(project_id=key.project, job_id=key.name)
        job.job_uuid = str(uuid.uuid4())
        job.placement.cluster_name = cluster.cluster_name
        job.placement.cluster_uuid = cluster.cluster_uuid
        job.status = dp.JobStatus(state=State.PENDING, state_start_time=now())
        job.status_history = []
        job.yarn_applications = []
        job.done = False
        folder = self._settings.folder.absolute() / "jobs" / job.job_uuid
        control = folder.as_uri()
        if self._settings.storage_endpoint:
            bucket = cluster.config.config_bucket or self._settings.staging_bucket
            control = f"gs://{bucket}/google-cloud-dataproc-metainfo/{cluster.cluster_uuid}/jobs/{key.name}"
        job.driver_control_files_uri = f"{control}/"
        job.driver_output_resource_uri = f"{control}/driveroutput"

    def _cluster(self, project: str, region: str, placement: dp.JobPlacement) -> dp.Cluster:
        if placement.cluster_name:
            key = Key("cluster", project, region, placement.cluster_name)
            item = self._store.get(key)
            if item is None:
                raise not_found("Cluster", str(key))
            cluster: dp.Cluster = dp.Cluster.deserialize(item.body)
            if cluster.status.state not in ACCEPTING:
                raise refused(f"Cluster {key} takes no jobs: it is in state {cluster.status.state.name}")
            return cluster
        asked = dict(placement.cluster_labels)
        for item in self._store.listed("cluster", project, region):
            cluster = dp.Cluster.deserialize(item.body)
            if asked.items() <= dict(cluster.labels).items() and cluster.status.state in ACCEPTING:
                return cluster
        raise not_found("Cluster", f"with labels {asked} in projects/{project}/regions/{region}")

    def _key(self, project: str, region: str, name: str) -> Key:
        validate.place(project, region)
        return Key("job", project, region, name)

    def _job(self, key: Key) -> dp.Job:
        item = self._store.get(key)
        if item is None:
            raise not_found("Job", str(key))
        found: dp.Job = dp.Job.deserialize(item.body)
        return found

    def _run(self, key: Key) -> None:
        with self._lock:
            if self._closing.is_set():
                return
            self._runs = {known: run for known, run in self._runs.items() if run.is_alive()}
            self._runs[key] = JobRun(self._store, self._settings, key, self._closing)
            self._runs[key].start()
