"""Google Cloud Storage by its own client, for those who have no Spark: what `objects` asks of gs://.

The client and its exceptions are imported late, because that takes a second.
"""

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

GS = "gs"
REQUEST_SECONDS = 15.0
RETRY_SECONDS = 30.0


def errors() -> tuple[type[Exception], ...]:
    """What google-cloud-storage raises."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    return (GoogleAPIError, GoogleAuthError, RequestException, ValueError)


@lru_cache(maxsize=4)
def _client(_emulator: str) -> Any:
    """One client per process and endpoint; STORAGE_EMULATOR_HOST is read by the client itself."""
    from google.cloud import storage

    return storage.Client(project=None)


def blob(location: str) -> Any:
    """The client's handle of an object; nothing is asked yet."""
    bucket, _, name = location.removeprefix(f"{GS}://").partition("/")
    return _client(os.environ.get("STORAGE_EMULATOR_HOST", "")).bucket(bucket).blob(name)


def patience() -> dict[str, Any]:
    """A create-once or a read may be repeated safely, within bounds that a person waits for."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    return {"timeout": REQUEST_SECONDS, "retry": DEFAULT_RETRY.with_timeout(RETRY_SECONDS)}


def upload(location: str, text: str, content_type: str = "application/json", **conditions: int) -> None:
    """Write an object; `conditions` as google-cloud-storage has them: if_generation_match=0."""
    blob(location).upload_from_string(text.encode("utf-8"), content_type=content_type, **conditions, **patience())


def read(location: str) -> bytes | None:
    """The bytes of an object; None: the bucket has none of that name."""
    from google.api_core.exceptions import NotFound

    try:
        return bytes(blob(location).download_as_bytes(**patience()))
    except NotFound as error:
        if "bucket does not exist" in str(error):
            raise
        return None


def _listing(folder: str, **how: Any) -> tuple[Any, str]:
    """The objects below a folder of gs://, and what their names begin with."""
    bucket, _, inner = folder.removeprefix(f"{GS}://").partition("/")
    prefix = f"{inner.strip('/')}/" if inner.strip("/") else ""
    client = _client(os.environ.get("STORAGE_EMULATOR_HOST", ""))
    return client.list_blobs(bucket, prefix=prefix, **how, **patience()), prefix


def names(folder: str) -> list[str]:
    """The names of the objects right below a folder."""
    found, prefix = _listing(folder, delimiter="/")
    return [blob.name.removeprefix(prefix) for blob in found if blob.name != prefix]


def folders(folder: str) -> set[str]:
    """The names of the folders right below a folder."""
    found, prefix = _listing(folder, delimiter="/")
    return {name.removeprefix(prefix).rstrip("/") for page in found.pages for name in page.prefixes}


def entries(folder: str) -> Iterator[tuple[str, int, float]]:
    """Name below the folder, bytes and time of change (seconds since 1970) of all objects below it."""
    found, prefix = _listing(folder, fields="items(name,size,updated),nextPageToken")
    for blob in found:
        if not blob.name.endswith("/"):
            yield blob.name.removeprefix(prefix), blob.size, blob.updated.timestamp()
