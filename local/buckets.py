"""Buckets of a local object store over its JSON API: made, saved to one file, loaded again."""

import http.client
import json
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from services import ServiceError

KEPT = ("contentType", "contentEncoding", "contentDisposition", "cacheControl", "metadata")
"""What is kept of an object beside its name and its bytes."""

PATIENCE_SECONDS = 60.0


class Store:
    """One connection to a store on 127.0.0.1, to be closed by `with`."""

    def __init__(self, port: int, patience: float = PATIENCE_SECONDS) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def is_healthy(self) -> bool:
        """Whether it says so itself."""
        try:
            self._ask("GET", "/_internal/healthcheck")
        except ServiceError:
            return False
        return True

    def buckets(self) -> list[str]:
        """Names, sorted."""
        return sorted(item["name"] for item in self._listed("/storage/v1/b", {"project": "local"}))

    def make_buckets(self, names: Sequence[str]) -> None:
        """Make those that are not there."""
        there = set(self.buckets())
        for name in names:
            if name not in there:
                body = json.dumps({"name": name}).encode()
                self._ask("POST", "/storage/v1/b?project=local", body, {"Content-Type": "application/json"})
                there.add(name)

    def objects(self, bucket: str) -> Iterator[dict[str, Any]]:
        """Every object as the API describes it."""
        return self._listed(f"/storage/v1/b/{quote(bucket, safe='')}/o", {})

    def read(self, bucket: str, name: str) -> bytes:
        """The bytes of one object, as they were written: without the header the store unpacks what is gzip."""
        path = f"/storage/v1/b/{quote(bucket, safe='')}/o/{quote(name, safe='')}?alt=media"
        return self._ask("GET", path, headers={"Accept-Encoding": "gzip"})

    def write(self, bucket: str, name: str, content: bytes, about: dict[str, Any] | None = None) -> None:
        """Replace one object; `about` holds what is named in KEPT."""
        told = {**(about or {}), "name": name}
        kind = str(told.setdefault("contentType", "application/octet-stream"))
        if "\r" in kind or "\n" in kind:
            raise ServiceError(f"gcs: want a content type of one line for gs://{bucket}/{name}, found {kind!r}")
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{json.dumps(told)}\r\n"
        body = (
            f"{head}--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode()
            + content
            + f"\r\n--{boundary}--\r\n".encode()
        )
        query = urlencode({"uploadType": "multipart", "name": name})
        path = f"/upload/storage/v1/b/{quote(bucket, safe='')}/o?{query}"
        self._ask("POST", path, body, {"Content-Type": f"multipart/related; boundary={boundary}"})

    def _listed(self, path: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        while True:
            page = json.loads(self._ask("GET", f"{path}?{urlencode(query)}"))
            yield from page.get("items") or []
            if not page.get("nextPageToken"):
                return
            query = {**query, "pageToken": page["nextPageToken"]}

    def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        try:
            self._connection.request(method, path, body, headers or {})
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ServiceError(f"gcs: no answer on 127.0.0.1:{self.port}: {error or type(error).__name__}") from None
        if answer.status >= 300:
            text = content.decode("utf-8", "replace").strip().splitlines()
            raise ServiceError(f"gcs: {method} {path} got {answer.status}: {text[0][:200] if text else answer.reason}")
        return content


def save(store: Store, path: Path) -> tuple[int, int]:
    """Write all buckets to one zip file, BUCKET/NAME for each object; it appears when it is whole.

    A folder on disk would not do: `a` and `a/b` are both objects, and so is `a/`.

    Returns:
        The number of objects and of their bytes.
    """
    objects = size = 0
    with _whole(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for bucket in store.buckets():
            archive.writestr(zipfile.ZipInfo(f"{bucket}/"), b"")
            for found in store.objects(bucket):
                content = store.read(bucket, found["name"])
                entry = zipfile.ZipInfo(f"{bucket}/{found['name']}")
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.comment = json.dumps({key: found[key] for key in KEPT if found.get(key)}).encode()
                archive.writestr(entry, content)
                objects += 1
                size += len(content)
    return objects, size


def load(store: Store, path: Path) -> int:
    """Write what `save` saved into the store, over what is there; the number of objects."""
    objects = 0
    try:
        with zipfile.ZipFile(path) as archive:
            parts = [(entry, *entry.filename.partition("/")[::2]) for entry in archive.infolist()]
            store.make_buckets([bucket for _, bucket, name in parts if not name])
            for entry, bucket, name in parts:
                if name:
                    store.write(bucket, name, archive.read(entry), json.loads(entry.comment or b"{}"))
                    objects += 1
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise ServiceError(
            f"gcs: want the saved buckets in {path}, found a file that cannot be read: {error}"
        ) from None
    return objects


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise ServiceError(f"gcs: the buckets could not be saved to {path}: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
