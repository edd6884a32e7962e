"""The serving jobs of a region: found by their labels, submitted once, asked to end. ci-cd/stream.sh does the same.

Everything here talks to the service through google-cloud-dataproc's own client; nothing imports Airflow.
"""

import dataclasses
import re
import time
from collections.abc import Callable
from typing import Any

from sentiment_dags.jobs import SERVING

LOOK_SECONDS = 3.0
ASK_AGAIN_SECONDS = 20.0
TERMINAL = ("DONE", "ERROR", "CANCELLED")
CANCEL = "CANCEL_"
"""Begins the states of a job that is being cancelled."""

Say = Callable[[str], None]


class DeploymentError(Exception):
    """A deploy, a drain or a watch that came to no good end; the message names stream and job."""


@dataclasses.dataclass(frozen=True)
class Jobs:
    """The jobs of a region, seen through a JobControllerClient."""

    client: Any
    project: str
    region: str

    @property
    def place(self) -> dict[str, str]:
        """Project and region, as each request wants them."""
        return {"project_id": self.project, "region": self.region}

    def serving(self, stream: str = "", active: bool = False) -> list[Any]:
        """Serving jobs, the oldest first; of one stream, and those only that are not at their end, where asked."""
        wanted = ["labels.suite = sentiment", f"labels.job = {SERVING}"]
        wanted += [f"labels.stream = {stream}"] * bool(stream) + ["status.state = ACTIVE"] * active
        return sorted(self.client.list_jobs(request={**self.place, "filter": " AND ".join(wanted)}), key=begun)

    def get(self, job_id: str) -> Any:
        """One job."""
        return self.client.get_job(request={**self.place, "job_id": job_id})

    def submit(self, job: Any) -> Any:
        """Submit a job of a stream.

        Raises:
            DeploymentError: its cluster is not there.
            google.api_core.exceptions.AlreadyExists: another has its id.
        """
        from google.api_core.exceptions import NotFound

        try:
            return self.client.submit_job(request={**self.place, "job": job})
        except NotFound:
            stream, cluster = job["labels"]["stream"], job["placement"]["cluster_name"]
            raise DeploymentError(
                f"stream {stream}: want cluster {cluster} in {self.region} for its job, found no such cluster"
            ) from None

    def cancel(self, job_id: str) -> None:
        """End a job; one that has ended already is left as it is."""
        from google.api_core.exceptions import FailedPrecondition

        try:
            self.client.cancel_job(request={**self.place, "job_id": job_id})
        except FailedPrecondition:
            if state(self.get(job_id)) not in TERMINAL:
                raise


def begun(job: Any) -> tuple[float, str]:
    """When it was submitted, in seconds since 1970, then its id."""
    first = job.status_history[0] if job.status_history else job.status
    return first.state_start_time.timestamp(), str(job.reference.job_id)


def state(job: Any) -> str:
    """RUNNING and so on."""
    return str(job.status.state.name)


def argument(job: Any, flag: str) -> str:
    """The value of an argument of its script, as `FLAG VALUE` or `FLAG=VALUE`; empty: it was not given."""
    words = list(job.pyspark_job.args)
    joined = next((word for word in words if word.startswith(f"{flag}=")), "")
    return words[words.index(flag) + 1] if flag in words[:-1] else joined.partition("=")[2]


def is_as(job: Any, wanted: Any) -> bool:
    """Whether a job has the settings, the code and the cluster of another."""
    same = all(job.labels.get(name) == wanted["labels"][name] for name in ("settings", "revision"))
    return same and job.placement.cluster_name == wanted["placement"]["cluster_name"]


def is_ending(job: Any) -> bool:
    """Whether a job was told to end: by a cancellation or, since it was submitted, by a drain."""
    from sentiment import objects
    from sentiment.serving import layout

    if state(job).startswith(CANCEL):
        return True
    folder, _, name = layout.DRAIN.rpartition("/")
    found = objects.entries(f"{argument(job, '--checkpoint')}/{folder}")
    # A request from before goes when the driver starts.
    return any(each.name == name and each.modified > begun(job)[0] for each in found)


def numbered(job: dict[str, Any], number: int) -> dict[str, Any]:
    """The job with this number as the end of its id."""
    label = job["labels"]
    name = f"serving-{label['stream']}-{label['settings']}-{number}"
    return {**job, "reference": {**job["reference"], "job_id": name}}


def again(job: Any, jobs: Jobs) -> dict[str, Any]:
    """A job to submit that is like one that ran."""
    return {
        "reference": {"project_id": jobs.project, "job_id": job.reference.job_id},
        "placement": {"cluster_name": job.placement.cluster_name},
        "labels": dict(job.labels),
        "pyspark_job": type(job.pyspark_job).to_dict(job.pyspark_job),
        "scheduling": {"max_failures_per_hour": job.scheduling.max_failures_per_hour},
    }


def submit_once(jobs: Jobs, job: dict[str, Any], say: Say) -> tuple[str, bool]:
    """Submit the stream's next job, unless another deploy was first; its id, and whether this call submitted it.

    Of two deploys with the same settings one gets the id. Of two with different settings the later one takes its
    job back.

    Raises:
        DeploymentError: the other one had other settings.
    """
    from google.api_core.exceptions import AlreadyExists

    stream = job["labels"]["stream"]
    number = len(jobs.serving(stream))
    while True:
        number += 1
        wanted = numbered(job, number)
        name = str(wanted["reference"]["job_id"])
        try:
            jobs.submit(wanted)
        except AlreadyExists:
            if state(jobs.get(name)) in TERMINAL:
                continue
            say(f"stream {stream} is already running as job {name}: another deploy was first")
            return name, False
        break
    first = next((str(each.reference.job_id) for each in jobs.serving(stream, active=True)), name)
    if first != name:
        jobs.cancel(name)
        raise DeploymentError(
            f"job {first} of stream {stream} came first, by another deploy: this one's job {name} was cancelled"
        )
    return name, True


def drain(jobs: Jobs, job: Any, timeout: float, say: Say) -> str:
    """Ask a job to complete its batch and end, and wait for that, `timeout` seconds; the state in which it ended.

    One that is being cancelled is asked nothing: the request would stay behind.
    """
    from sentiment import objects
    from sentiment.serving import layout

    name, checkpoint = str(job.reference.job_id), argument(job, "--checkpoint")
    cancelled = state(job).startswith(CANCEL)
    if not cancelled and not re.fullmatch(r"gs://[^/]+/.+", checkpoint):
        raise DeploymentError(
            f"job {name}: want its --checkpoint on gs://, found {checkpoint or 'none'}: end it yourself, then try again"
        )
    began = time.monotonic()
    asked = -ASK_AGAIN_SECONDS
    say(f"job {name} is {'being cancelled' if cancelled else 'asked to complete its batch and end'}")
    while (found := state(jobs.get(name))) not in TERMINAL:
        waited = time.monotonic() - began
        if waited >= timeout:
            raise DeploymentError(f"job {name} is still {found} after {timeout:.0f} s; it was told to end")
        # A driver that has just begun has removed the request.
        if not cancelled and waited - asked >= ASK_AGAIN_SECONDS:
            objects.replace(f"{checkpoint}/{layout.DRAIN}", "{}\n")
            asked = waited
        time.sleep(LOOK_SECONDS)
    say(f"job {name} is {found} after {time.monotonic() - began:.0f} s")
    return found
