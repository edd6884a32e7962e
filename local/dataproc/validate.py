"""What the service refuses before it does anything: names, labels, request ids, jobs, clusters, field masks."""

import re
from collections.abc import Callable, Iterable, Mapping

from google.cloud import dataproc_v1 as dp

from dataproc.errors import invalid, no_region, unimplemented
from dataproc.regions import REGIONS

PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]{0,62}")
REQUEST = re.compile(r"[A-Za-z0-9_-]{0,40}")
JOB = re.compile(r"[A-Za-z0-9_-]{1,100}")
CLUSTER = re.compile(r"[a-z]([a-z0-9-]{0,50}[a-z0-9])?")
LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
MOST_LABELS = 64
MOST_PER_HOUR, MOST_IN_ALL = 10, 240
CLUSTER_MASKS = (
    "labels",
    "config.worker_config.num_instances",
    "config.secondary_worker_config.num_instances",
    "config.autoscaling_config.policy_uri",
    "config.lifecycle_config",
)


def place(project: str, region: str) -> None:
    """Project and region, as every call names them; PERMISSION_DENIED: Google Cloud has no such region."""
    _like("project_id", project, PROJECT, "a project id of lower-case letters, digits and hyphens")
    if region not in REGIONS:
        raise no_region(region)


def request_id(value: str) -> None:
    """A request id; empty is none."""
    _like("request_id", value, REQUEST, "at most 40 letters, digits, underscores and hyphens")


def labels(field: str, value: Mapping[str, str]) -> None:
    """Labels of a job or a cluster."""
    if len(value) > MOST_LABELS:
        raise invalid(f"{field}: want at most {MOST_LABELS} labels, got {len(value)}")
    for key, text in value.items():
        _like(f"{field}: key", key, LABEL_KEY, "1 to 63 of a-z, 0-9, _ and -, a letter first")
        _like(f"{field}.{key}", text, LABEL_VALUE, "at most 63 of a-z, 0-9, _ and -")


def job(value: dp.Job, project: str) -> None:
    """A job to submit.

    Raises:
        ApiError: INVALID_ARGUMENT, or UNIMPLEMENTED for the kinds of job that this server does not run.
    """
    if not value.placement.cluster_name and not value.placement.cluster_labels:
        raise invalid("job.placement: want cluster_name or cluster_labels, got neither")
    if value.placement.cluster_name:
        cluster_name("job.placement.cluster_name", value.placement.cluster_name)
    if value.reference.project_id not in ("", project):
        raise invalid(f"job.reference.project_id: want {project!r} as in the call, got {value.reference.project_id!r}")
    if value.reference.job_id:
        _like("job.reference.job_id", value.reference.job_id, JOB, "1 to 100 letters, digits, underscores and hyphens")
    kind = dp.Job.pb(value).WhichOneof("type_job")
    if kind is None:
        raise invalid("job: want one type of job, such as pyspark_job, got none")
    if kind != "pyspark_job":
        raise unimplemented(f"job: this server runs pyspark_job only, got {kind}")
    _pyspark(value.pyspark_job)
    labels("job.labels", value.labels)
    _limit("job.scheduling.max_failures_per_hour", value.scheduling.max_failures_per_hour, MOST_PER_HOUR)
    _limit("job.scheduling.max_failures_total", value.scheduling.max_failures_total, MOST_IN_ALL)


def _pyspark(value: dp.PySparkJob) -> None:
    field = "job.pyspark_job"
    if not value.main_python_file_uri:
        raise invalid(f"{field}.main_python_file_uri: want the URI of a .py file, got none")
    _endings(f"{field}.main_python_file_uri", [value.main_python_file_uri], (".py",))
    _endings(f"{field}.python_file_uris", value.python_file_uris, (".py", ".egg", ".zip"))
    _endings(f"{field}.archive_uris", value.archive_uris, (".jar", ".tar", ".tar.gz", ".tgz", ".zip"))
    for name in value.properties:
        if not name or re.search(r"[\s=]", name):
            raise invalid(f"{field}.properties: want names without blanks and =, got {name!r}")


def cluster(value: dp.Cluster, project: str) -> None:
    """A cluster to create."""
    cluster_name("cluster.cluster_name", value.cluster_name)
    if value.project_id not in ("", project):
        raise invalid(f"cluster.project_id: want {project!r} as in the call, got {value.project_id!r}")
    message = dp.Cluster.pb(value)
    if message.HasField("config") and message.HasField("virtual_cluster_config"):
        raise invalid("cluster: want config or virtual_cluster_config, got both")
    labels("cluster.labels", value.labels)
    if message.HasField("config"):
        masters = value.config.master_config.num_instances
        if masters not in (0, 1, 3):
            raise invalid(f"cluster.config.master_config.num_instances: want 1 or 3, got {masters}")
        workers(value.config)
        for action in value.config.initialization_actions:
            if not action.executable_file:
                raise invalid("cluster.config.initialization_actions: want executable_file, got none")


def workers(config: dp.ClusterConfig) -> None:
    """The numbers of workers."""
    primary, secondary = config.worker_config.num_instances, config.secondary_worker_config.num_instances
    if primary < 0 or primary == 1:
        raise invalid(f"cluster.config.worker_config.num_instances: want 0 or at least 2, got {primary}")
    if secondary < 0:
        raise invalid(f"cluster.config.secondary_worker_config.num_instances: want 0 or more, got {secondary}")


def cluster_name(field: str, value: str) -> None:
    """A cluster's name."""
    _like(field, value, CLUSTER, "1 to 52 of a-z, 0-9 and -, a letter first and no hyphen last")


def job_mask(paths: Iterable[str]) -> None:
    """The field mask of an update of a job: labels, as in the service."""
    _mask(paths, lambda path: path == "labels", "labels")


def cluster_mask(paths: Iterable[str]) -> None:
    """The field mask of an update of a cluster."""

    def known(path: str) -> bool:
        return path in CLUSTER_MASKS or path.startswith("config.lifecycle_config.")

    _mask(paths, known, ", ".join(CLUSTER_MASKS))


def _mask(paths: Iterable[str], known: Callable[[str], bool], wanted: str) -> None:
    listed = list(paths)
    if not listed:
        raise invalid(f"update_mask: want fields out of {wanted}, got none")
    for path in listed:
        if not known(path):
            raise invalid(f"update_mask: want fields out of {wanted}, got {path!r}")


def _endings(field: str, uris: Iterable[str], endings: tuple[str, ...]) -> None:
    for uri in uris:
        if not uri.partition("#")[0].endswith(endings):
            raise invalid(f"{field}: want a file that ends in {', '.join(endings)}, got {uri!r}")


def _limit(field: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise invalid(f"{field}: want 0 to {most}, got {value}")


def _like(field: str, value: str, pattern: re.Pattern[str], wanted: str) -> None:
    if not pattern.fullmatch(value):
        raise invalid(f"{field}: want {wanted}, got {value!r}")
