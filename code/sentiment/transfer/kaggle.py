"""Kaggle's API by Kaggle's own client: the files of a data set, and its archive from any byte on.

The client is the SDK under the `kaggle` command. The command's package itself is not imported: that asks the network,
prints to stdout and makes a folder in the user's home.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from kagglesdk import KaggleEnv
from kagglesdk.datasets.services.dataset_api_service import DatasetApiClient
from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest, ApiListDatasetFilesRequest
from kagglesdk.kaggle_http_client import KaggleHttpClient

from sentiment.jobs import ArgumentsError, DataError, one_line, without_secrets
from sentiment.transfer.accounts import HOW, Account

ENDPOINT_VARIABLE = "KAGGLE_API_ENDPOINT"
"""Another address than Kaggle's own, for a mirror or a server on this machine."""

TIMEOUT = (20.0, 60.0)  # to connect, and between two pieces of an answer
CHUNK = 1 << 20
PAGE = 200


class TroubleError(Exception):
    """Something that may be gone when it is tried again; `wait`: seconds that the service asked for."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class Identity:
    """What tells two states of an archive apart, and a whole one from a damaged one.

    `validator` is its ETag, else its date, else empty; `size` in bytes, -1 where the service does not tell; `md5` and
    `crc32c` in base64, empty where it does not tell.
    """

    validator: str
    size: int
    md5: str = ""
    crc32c: str = ""


@dataclass(frozen=True)
class Listed:
    """One file of a data set: its name there and its size in bytes as the service counts it."""

    name: str
    size: int


class Archive:
    """An open answer: the bytes of an archive from `start` on."""

    def __init__(self, answer: Any, identity: Identity, start: int) -> None:
        self.identity = identity
        self.start = start
        self._answer = answer

    def chunks(self) -> Iterator[bytes]:
        """The bytes; TroubleError: the connection broke."""
        with _troubles():
            yield from self._answer.iter_content(CHUNK)


class Kaggle:
    """The API as `account` may use it; to be asked for one data set, OWNER/NAME or OWNER/NAME/VERSION."""

    def __init__(self, account: Account, dataset: str) -> None:
        self.account = account
        self.dataset = dataset
        self.owner, self.name, *version = dataset.split("/")
        self.version = int(version[0]) if version else None
        self.endpoint = _endpoint()
        self._http = _http(account, self.endpoint)
        self._api = DatasetApiClient(self._http)

    def files(self) -> list[Listed]:
        """Every file of the data set.

        Raises:
            DataError: there is no such data set, or the account may not read it.
            TroubleError: as for `archive`.
        """
        found: list[Listed] = []
        token = ""
        while True:
            request = ApiListDatasetFilesRequest()
            self._address(request)
            request.page_size = PAGE
            if token:
                request.page_token = token
            try:
                with self._told(), _troubles():
                    answer = self._api.list_dataset_files(request)
            except (ValueError, TypeError, KeyError):
                raise DataError("Kaggle: want a list of files, found an answer that its client cannot read") from None
            if answer.error_message:
                raise DataError(f"--dataset {self.dataset}: Kaggle says: {answer.error_message}")
            found += [Listed(file.name, file.total_bytes) for file in answer.files]
            token = answer.next_page_token
            if not token and not found:
                raise DataError(f"--dataset {self.dataset}: want a data set with files, found none in it")
            if not token:
                return found

    @contextmanager
    def archive(self, part: Identity | None = None, start: int = 0) -> Iterator[Archive]:
        """The data set's zip, from byte `start` on if it still is the one that `part` names, else from its first.

        Raises:
            DataError: as for `files`.
            TroubleError: no connection, or the service has trouble of its own.
        """
        request = ApiDownloadDatasetRequest()
        self._address(request)
        with self._told(), _troubles():
            answer = self._api.download_dataset(request)
        try:
            kind = answer.headers.get("Content-Type", "").partition(";")[0]
            if kind in ("text/html", "application/json"):
                raise DataError(f"Kaggle: want an archive, found a page of {kind}, as of a proxy or a login")
            whole = _identity(answer)
            if part == whole and whole.validator and 0 < start < whole.size:
                answer.close()
                with self._told(), _troubles():
                    answer = self._again(answer.request, {"Range": f"bytes={start}-", "If-Range": whole.validator})
                if not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                    start, whole = 0, _identity(answer)
            else:
                start = 0
            yield Archive(answer, whole, start)
        finally:
            answer.close()

    def _again(self, request: Any, headers: dict[str, str]) -> Any:
        """The same request with more headers; credentials go where they went the first time, and nowhere else."""
        repeated = request.copy()
        repeated.headers.update(headers)
        session = self._http._session
        answer = session.send(repeated, **session.merge_environment_settings(repeated.url, {}, True, None, None))
        answer.raise_for_status()
        return answer

    def _address(self, request: Any) -> None:
        request.owner_slug, request.dataset_slug = self.owner, self.name
        if self.version is not None:
            request.dataset_version_number = self.version

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What an HTTP status means to the user."""
        try:
            yield
        except requests.HTTPError as error:
            status, wait, from_api = _status(error, self.endpoint)
            if status == 401 and from_api:
                raise DataError(f"Kaggle refuses the credentials of {self.account.source} (401); {HOW}") from None
            if status == 403 and from_api:
                raise DataError(
                    f"--dataset {self.dataset}: want one that the account of {self.account.source} may read, found it "
                    f"forbidden (403); see https://www.kaggle.com/datasets/{self.owner}/{self.name}"
                ) from None
            if status == 404 and from_api:
                raise DataError(
                    f"--dataset: want OWNER/NAME of a data set on Kaggle, found none named {self.dataset} (404)"
                ) from None
            if from_api and status < 500 and status not in (408, 429):
                raise DataError(f"--dataset {self.dataset}: Kaggle refuses the request ({status})") from None
            raise TroubleError(f"Kaggle answers with {status}", wait) from None


class _Adapter(requests.adapters.HTTPAdapter):
    """The client sets no time limit; a connection that is silent for ever is a broken one."""

    def send(self, request: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        kwargs["timeout"] = kwargs.get("timeout") or TIMEOUT
        return super().send(request, **kwargs)


def _http(account: Account, endpoint: str) -> Any:
    """Kaggle's client with time limits, and led elsewhere where that is wanted: it has settings for neither."""
    made = KaggleHttpClient(
        env=KaggleEnv.PROD, username=account.username, password=account.key, api_token=account.token
    )
    made.__enter__()
    made._endpoint = endpoint or made._endpoint
    made._session.headers["Accept-Encoding"] = "identity"  # sizes and hashes are those of the file
    for scheme in ("https://", "http://"):
        made._session.mount(scheme, _Adapter())
    return made


def _endpoint() -> str:
    """The address in KAGGLE_API_ENDPOINT, or empty: credentials travel there, so it is https or this machine."""
    named = os.environ.get(ENDPOINT_VARIABLE, "").rstrip("/")
    try:
        scheme, host, _ = _server(named)
    except ValueError:  # of a port that is no number, or a bracket that is not closed
        scheme, host = "", ""
    on_this_machine = scheme == "http" and host in ("127.0.0.1", "localhost", "::1")
    if named and not on_this_machine and not (scheme == "https" and host):
        shown = without_secrets(named) if "://" in named else named.rpartition("@")[2]
        raise ArgumentsError(f"{ENDPOINT_VARIABLE}: want https://HOST or http://127.0.0.1:PORT, found {shown!r}")
    return named


def _server(address: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address, whoever asks there; ValueError: it has no such form."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _identity(answer: Any) -> Identity:
    headers = answer.headers
    hashes = dict(re.findall(r"(md5|crc32c)=([A-Za-z0-9+/=]+)", headers.get("x-goog-hash", "")))
    size = headers.get("Content-Length", "")
    known = size.isdecimal() and headers.get("Content-Encoding", "identity") == "identity"
    return Identity(
        validator=headers.get("ETag") or headers.get("Last-Modified") or "",
        size=int(size) if known else -1,
        md5=hashes.get("md5", ""),
        crc32c=hashes.get("crc32c", ""),
    )


def _status(error: requests.HTTPError, endpoint: str) -> tuple[int, float, bool]:
    """Status, seconds to wait, and whether the API said so rather than the store that it sends one on to."""
    answer: Any = error.response
    status = answer.status_code
    if status < 400:  # the client also raises for an error that stands in the body alone
        status = answer.json().get("code", 500)
    wait = answer.headers.get("Retry-After", "")
    is_own = _server(answer.url)[1:] == _server(endpoint or "https://api.kaggle.com")[1:]
    return int(status), float(wait) if wait.isdecimal() else 0.0, is_own


@contextmanager
def _troubles() -> Iterator[None]:
    """Errors of the connection as TroubleError, without what is secret in an address: password, signed query."""
    try:
        yield
    except requests.HTTPError:
        raise
    except (requests.RequestException, OSError) as error:
        raise TroubleError(without_secrets(re.sub(r"\?[^\s'\")]*", "", one_line(error)))[:300]) from None
