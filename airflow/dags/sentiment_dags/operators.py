"""The provider's Dataproc operators, made safe to repeat: no try of a task ever starts a second job or cluster."""

import json
import re
import uuid
from collections.abc import Sequence
from typing import Any

from airflow.providers.google.cloud.hooks.dataproc import DataprocHook
from airflow.providers.google.cloud.operators.dataproc import (
    DataprocCreateClusterOperator,
    DataprocDeleteClusterOperator,
    DataprocSubmitJobOperator,
)
from airflow.sdk.exceptions import AirflowException
from airflow.sdk.log import mask_secret
from google.api_core.exceptions import AlreadyExists, NotFound
from google.cloud.dataproc_v1 import JobStatus
from sentiment_dags.driver import last_lines

State: Any = JobStatus.State
ENDED_BADLY = (State.ERROR, State.CANCELLED)
MOST_SUFFIXES = 50


class AttachingSubmitJobOperator(DataprocSubmitJobOperator):
    """Submits a job once per DAG run and waits for it; a retry attaches to the job that an earlier try submitted.

    The job's reference holds the id of the run; `-1` is added. A try repeats job id and request id: a job that is at
    work is waited for, one that is DONE is the result, and only behind one that ended in ERROR or CANCELLED does the
    number rise. A job that fails makes the task fail with the driver's last lines in its log.
    """

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Render, and let Airflow hide the passwords in the addresses among the job's arguments and properties."""
        super().render_template_fields(context, jinja_env)
        for password in re.findall(r"://[^/@\s:]*:([^/@\s]+)@", json.dumps(self.job)):
            mask_secret(password)

    def execute(self, context: Any) -> Any:
        """The id of the job that is DONE."""
        self.hook = DataprocHook(gcp_conn_id=self.gcp_conn_id, impersonation_chain=self.impersonation_chain)
        self.project_id = self.project_id or self.hook.project_id
        base, asked = self.job["reference"]["job_id"], self.job
        for number in range(1, MOST_SUFFIXES + 1):
            job_id = f"{base}-{number}"
            found = self._existing(job_id)
            if found is not None and found.status.state in ENDED_BADLY:
                self.log.info("Job %s ended in an earlier try: %s", job_id, found.status.state.name)
                continue
            # Both ids are the same in every try: whichever try the service hears first makes the job.
            self.request_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"dataproc-job:{self.project_id}/{job_id}"))
            self.job = {**asked, "reference": {**asked["reference"], "job_id": job_id}}
            if found is None:
                found = self._submitted(job_id)
            else:
                self.log.info("Job %s is there already: %s", job_id, found.status.state.name)
            return self._awaited(context, found)
        raise AirflowException(f"Job {base}: {MOST_SUFFIXES} tries ended in ERROR or CANCELLED; trigger a new run")

    def execute_complete(self, context: Any, event: Any = None) -> Any:  # noqa: ARG002  Airflow's own
        """What the trigger saw at the job's end."""
        self.hook = DataprocHook(gcp_conn_id=self.gcp_conn_id, impersonation_chain=self.impersonation_chain)
        self.job_id = event["job_id"]
        ended: Any = self.hook.get_job(job_id=self.job_id, project_id=self.project_id, region=self.region)
        return self._result(ended, event["job_state"])

    def _existing(self, job_id: str) -> Any:
        assert self.hook is not None
        try:
            return self.hook.get_job(job_id=job_id, project_id=self.project_id, region=self.region)
        except NotFound:
            return None

    def _submitted(self, job_id: str) -> Any:
        assert self.hook is not None
        try:
            found = self.hook.submit_job(
                job=self.job,
                project_id=self.project_id,
                region=self.region,
                request_id=self.request_id,
                retry=self.retry,
                timeout=self.timeout,
                metadata=self.metadata,
            )
        except AlreadyExists:
            self.log.info("Job %s was submitted meanwhile; waiting for it", job_id)
            return self._existing(job_id)
        self.log.info("Job %s is submitted", job_id)
        return found

    def _awaited(self, context: Any, found: Any) -> Any:
        """Wait for a job that is the run's own: by the provider's triggers where this is deferrable."""
        from airflow.providers.google.cloud.links.dataproc import DataprocJobLink
        from airflow.providers.google.cloud.triggers.dataproc import DataprocSubmitTrigger

        assert self.hook is not None
        self.job_id = found.reference.job_id
        DataprocJobLink.persist(context=context, job_id=self.job_id, region=self.region, project_id=self.project_id)
        place = {"project_id": self.project_id, "region": self.region}
        if self.deferrable and found.status.state not in (State.DONE, *ENDED_BADLY):
            trigger = DataprocSubmitTrigger(
                job_id=self.job_id,
                gcp_conn_id=self.gcp_conn_id,
                impersonation_chain=self.impersonation_chain,
                polling_interval_seconds=self.polling_interval_seconds,
                cancel_on_kill=self.cancel_on_kill,
                **place,
            )
            self.defer(trigger=trigger, method_name="execute_complete")
        if not self.deferrable and not self.asynchronous:
            try:
                self.hook.wait_for_job(job_id=self.job_id, timeout=self.wait_timeout, **place)
            except AirflowException:  # of a job that failed; what became of it is told below
                self.log.info("Job %s is not DONE", self.job_id)
        if self.asynchronous:
            return self.job_id
        ended: Any = self.hook.get_job(job_id=self.job_id, **place)
        return self._result(ended, ended.status.state.name)

    def _result(self, job: Any, state: str) -> str:
        job_id = str(job.reference.job_id)
        if state == State.DONE.name:
            self.log.info("Job %s is DONE", job_id)
            return job_id
        for line in last_lines(job, self.gcp_conn_id):
            self.log.error("driver: %s", line)
        raise AirflowException(f"Job {job_id} is {state}: {job.status.details or 'no details'}")


class ClusterOperator(DataprocCreateClusterOperator):
    """Makes a cluster of the run's own where `wanted` is true; else sees that the one of that name takes jobs.

    A second try takes the cluster that is there by its name. A request id of the run's own would be wrong: the service
    answers one that it knows with the operation of then, even if the cluster has failed or was deleted since.
    """

    template_fields: Sequence[str] = (*DataprocCreateClusterOperator.template_fields, "wanted")

    def __init__(self, *, wanted: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wanted = wanted

    def execute(self, context: Any) -> Any:
        """The cluster's name."""
        self.project_id = self.project_id or _project(self)
        if self.wanted:
            super().execute(context)
            return self.cluster_name
        hook = DataprocHook(gcp_conn_id=self.gcp_conn_id, impersonation_chain=self.impersonation_chain)
        try:
            state = self._get_cluster(hook).status.state.name
        except NotFound:
            state = "none"
        if state not in ("RUNNING", "UPDATING"):
            raise AirflowException(
                f"Variable cluster_name: want a running cluster in {self.region}, or create_cluster to be true; "
                f"found {self.cluster_name}: {state}"
            )
        return self.cluster_name


class ClusterGoneOperator(DataprocDeleteClusterOperator):
    """Deletes the run's own cluster; one that was there before the run stays (`wanted` false)."""

    template_fields: Sequence[str] = (*DataprocDeleteClusterOperator.template_fields, "wanted")

    def __init__(self, *, wanted: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wanted = wanted

    def execute(self, context: Any) -> None:
        """Wait until it is gone."""
        if not self.wanted:
            self.log.info("Cluster %s was there before this run and stays", self.cluster_name)
            return
        self.project_id = self.project_id or _project(self)
        super().execute(context)


def _project(operator: Any) -> str:
    hook = DataprocHook(gcp_conn_id=operator.gcp_conn_id, impersonation_chain=operator.impersonation_chain)
    return str(hook.project_id)
