"""Objects on gs:// as the worker sees them, through the Google connection."""

from collections.abc import Sequence
from typing import Any

CONNECTION = "google_cloud_default"
SECONDS = 30.0


def client(connection: str = CONNECTION) -> Any:
    """A google-cloud-storage client with the connection's credentials."""
    from airflow.providers.google.cloud.hooks.gcs import GCSHook

    return GCSHook(gcp_conn_id=connection).get_conn()


def blob(store: Any, uri: str) -> Any:
    """The object at gs://BUCKET/NAME, which need not be there."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return store.bucket(bucket).blob(name)


def text(store: Any, uri: str) -> str | None:
    """An object's UTF-8 text; None: there is none."""
    from google.api_core.exceptions import NotFound

    try:
        return str(blob(store, uri).download_as_bytes(timeout=SECONDS).decode("utf-8"))
    except NotFound:
        return None


def missing(store: Any, uris: Sequence[str]) -> list[str]:
    """Those of the objects that are not there."""
    return [uri for uri in uris if not blob(store, uri).exists(timeout=SECONDS)]


def put(store: Any, uri: str, content: bytes) -> None:
    """Write an object over whatever is there."""
    blob(store, uri).upload_from_string(content, content_type="application/octet-stream", timeout=SECONDS)
