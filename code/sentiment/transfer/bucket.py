"""One bucket by google-cloud-storage: what is there, and one file put there whole; no credentials where an emulator is.

STORAGE_EMULATOR_HOST is read by the client itself.
"""

import mimetypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from google.api_core.exceptions import Forbidden, GoogleAPICallError, GoogleAPIError, NotFound, Unauthorized
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.exceptions import RequestException

from sentiment.jobs import DataError, one_line

CHUNK = 32 << 20  # of a resumable upload: what is sent again after a cut, and the memory that one worker takes
LOGIN = (
    "log in with `gcloud auth application-default login`, or name a key file in GOOGLE_APPLICATION_CREDENTIALS; "
    "for the local store `source .local/env`"
)
REQUEST_SECONDS = 60.0
RETRY_SECONDS = 90.0


class TroubleError(Exception):
    """An upload that did not come through, and may when it is tried again."""


@dataclass(frozen=True)
class Stored:
    """What the store says of an object: size in bytes, CRC32C in base64, generation."""

    size: int
    crc32c: str
    generation: int


class Bucket:
    """A bucket as the account of this machine may use it; each thread has connections of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._own = threading.local()
        self._credentials: Any = None

    def objects(self, prefix: str) -> dict[str, Stored]:
        """What lies under `prefix` by name; DataError: no bucket, no rights, no credentials, no answer."""
        with self._told("list"):
            listed = self._bucket().list_blobs(prefix=prefix, timeout=REQUEST_SECONDS, retry=_retry(RETRY_SECONDS / 3))
            return {blob.name: _stored(blob) for blob in listed}

    def put(self, file: IO[bytes], size: int, crc32c: str, name: str, generation: int) -> None:
        """Write an object over `generation` (0: over none) with exactly these bytes; it appears whole or not at all.

        The checksum is sent before the bytes, or with them: the store itself refuses what came out otherwise.

        Raises:
            DataError: no rights; or somebody else has written the object meanwhile.
            TroubleError: anything that another attempt may mend.
        """
        blob = self._bucket().blob(name, chunk_size=CHUNK)
        try:
            with self._told(f"write {name} to"):
                blob.upload_from_file(
                    file,
                    size=size,
                    content_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
                    checksum="crc32c",
                    crc32c_checksum_value=crc32c,
                    if_generation_match=generation,
                    timeout=REQUEST_SECONDS,
                    retry=_retry(RETRY_SECONDS),
                )
        except _FailedError as failed:
            there = self._there(name)
            if there is not None and (there.size, there.crc32c) == (size, crc32c):
                return  # it had come through; only the answer was lost
            if failed.code == 412:
                raise DataError(
                    f"gs://{self.name}/{name}: want nobody else to write it meanwhile, found it changed"
                ) from None
            raise TroubleError(str(failed)) from None

    def _there(self, name: str) -> Stored | None:
        try:
            with self._told(f"read {name} in"):
                blob = self._bucket().get_blob(name, timeout=REQUEST_SECONDS, retry=_retry(RETRY_SECONDS / 3))
        except _FailedError:
            return None
        return None if blob is None else _stored(blob)

    def _bucket(self) -> Any:
        if not hasattr(self._own, "bucket"):
            self._own.bucket = self._client().bucket(self.name)
        return self._own.bucket

    def _client(self) -> storage.Client:
        if os.environ.get("STORAGE_EMULATOR_HOST"):
            return storage.Client(project=None)
        if self._credentials is None:
            self._credentials = _credentials()
        return storage.Client(project=None, credentials=self._credentials)

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """What an error means to the user; one that may pass becomes a _FailedError, but not at the listing."""
        try:
            yield
        except (Forbidden, Unauthorized) as error:
            raise DataError(
                f"--gcs-bucket {self.name}: want the right to list and write objects (roles/storage.objectUser), "
                f"found it refused ({error.code}): {_brief(error)}"
            ) from None
        except (GoogleAPIError, GoogleAuthError, RequestException, DataCorruption, OSError) as error:
            if isinstance(error, NotFound) and (doing == "list" or "bucket does not exist" in str(error)):
                raise DataError(
                    f"--gcs-bucket: want a bucket that exists, found no gs://{self.name} (404); "
                    f"gcloud storage buckets create gs://{self.name} makes it"
                ) from None
            if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError):
                raise DataError(
                    f"--gcs-bucket {self.name}: want credentials that work, found {_brief(error)}; {LOGIN}"
                ) from None
            if doing == "list":
                raise DataError(f"--gcs-bucket {self.name}: no answer of the store: {_brief(error)}") from None
            raise _FailedError(f"cannot {doing} gs://{self.name}: {_brief(error)}", error) from None


class _FailedError(Exception):
    def __init__(self, message: str, error: BaseException) -> None:
        super().__init__(message)
        self.code = int(error.code or 0) if isinstance(error, GoogleAPICallError) else 0


def _credentials() -> Any:
    """The machine's own credentials for Google Cloud; DataError: there are none."""
    import google.auth

    try:
        found, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/devstorage.read_write"])
    except GoogleAuthError as error:
        raise DataError(
            f"--gcs-bucket: want credentials for Google Cloud, found none; {LOGIN} ({_brief(error)})"
        ) from None
    return found


def _stored(blob: Any) -> Stored:
    return Stored(int(blob.size or 0), blob.crc32c or "", int(blob.generation or 0))


def _retry(seconds: float) -> Any:
    return DEFAULT_RETRY.with_delay(initial=0.5, maximum=15.0, multiplier=2.0).with_timeout(seconds)


def _brief(error: BaseException) -> str:
    """The last cause in a line, without addresses: an upload's address is a key to it."""
    cause = getattr(error, "cause", None) or error
    words = [word for word in one_line(cause).split() if "://" not in word and "upload_id" not in word]
    return " ".join(words)[:200]
