"""A job's files: gs:// objects are fetched into the job's folder, local files are taken where they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataproc_v1 as dp
from requests.exceptions import RequestException

from dataproc.settings import Settings

STORE_SECONDS = 30.0
ANONYMOUS: Any = AnonymousCredentials  # untyped


class StagingError(Exception):
    """A file that the job cannot have; the message is the line for status.details."""


def storage(endpoint: str) -> Any:
    """A client of the object store at `endpoint`, and of no other."""
    from google.cloud.storage import Client

    return Client(project="local", credentials=ANONYMOUS(), client_options={"api_endpoint": endpoint.rstrip("/")})


def stage(job: dp.PySparkJob, folder: Path, endpoint: str) -> dict[str, list[str]]:
    """The job's files as spark-submit takes them, by the name of the field; gs:// objects are copied below `folder`.

    Raises:
        StagingError: a file is missing, or the object store does not answer.
    """
    lists = {
        "main_python_file_uri": [job.main_python_file_uri],
        "python_file_uris": list(job.python_file_uris),
        "jar_file_uris": list(job.jar_file_uris),
        "file_uris": list(job.file_uris),
        "archive_uris": list(job.archive_uris),
    }
    client = storage(endpoint) if endpoint and any("gs://" in uri for uris in lists.values() for uri in uris) else None
    return {
        field: [_staged(field, uri, folder / field / str(place), client) for place, uri in enumerate(uris)]
        for field, uris in lists.items()
    }


def _staged(field: str, uri: str, folder: Path, client: Any) -> str:
    address, sign, alias = uri.partition("#")
    parts = urlsplit(address)
    if parts.scheme == "gs":
        path = _fetched(field, address, folder, client)
    elif parts.scheme in ("", "file", "local"):
        path = Path(url2pathname(parts.path) if parts.scheme else address)
        if not path.is_file():
            raise StagingError(f"File not found: {address} (pyspark_job.{field})")
    else:
        return uri  # hdfs: and its kin are Spark's own affair
    return f"{path}{sign}{alias}"


def _fetched(field: str, uri: str, folder: Path, client: Any) -> Path:
    if client is None:
        raise StagingError(f"{uri} (pyspark_job.{field}): want a local file, as this server has no object store")
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not bucket or not name or name.endswith("/"):
        raise StagingError(f"{uri} (pyspark_job.{field}): want gs://BUCKET/OBJECT")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / Path(name).name
    try:
        client.bucket(bucket).blob(name).download_to_filename(str(path), timeout=STORE_SECONDS, retry=None)
    except NotFound:
        raise StagingError(f"File not found: {uri} (pyspark_job.{field})") from None
    except (GoogleAPIError, RequestException, OSError) as error:
        raise StagingError(f"{uri} (pyspark_job.{field}): {type(error).__name__} from the object store") from error
    return path


def command(job: dp.Job, cluster: dp.Cluster, files: dict[str, list[str]], settings: Settings) -> list[str]:
    """The whole spark-submit command: the settings' properties, over them the cluster's, over these the job's."""
    conf = dict(settings.conf)
    for name, value in cluster.config.software_config.properties.items():
        if name.startswith("spark:"):
            conf[name.removeprefix("spark:")] = value
    pyspark = job.pyspark_job
    conf.update(pyspark.properties)
    conf.setdefault("spark.app.name", job.reference.job_id)
    # --jars would hide spark.jars, and so do the other flags with theirs: each list is given once, and whole.
    lists = {
        "--jars": [*settings.jars, *_listed(conf, "spark.jars"), *files["jar_file_uris"]],
        "--py-files": [*_listed(conf, "spark.submit.pyFiles"), *files["python_file_uris"]],
        "--files": [*_listed(conf, "spark.files"), *files["file_uris"]],
        "--archives": [*_listed(conf, "spark.archives"), *files["archive_uris"]],
    }
    conf.pop("spark.submit.deployMode", "")  # there is no YARN here, and no other master takes Python in cluster mode
    master = conf.pop("spark.master", "yarn")
    made = [*settings.submit, "--master", settings.master if master.startswith("yarn") else master]
    for name, value in sorted(conf.items()):
        made += ["--conf", f"{name}={value}"]
    return [*made, *_flags(lists), *files["main_python_file_uri"], *pyspark.args]


def _listed(conf: dict[str, str], name: str) -> list[str]:
    return [entry for entry in conf.pop(name, "").split(",") if entry]


def _flags(lists: dict[str, list[str]]) -> Sequence[str]:
    return [word for flag, paths in lists.items() if paths for word in (flag, ",".join(dict.fromkeys(paths)))]
