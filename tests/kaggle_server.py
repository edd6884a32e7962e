"""A server on 127.0.0.1 that speaks the endpoints which Kaggle's client calls for a data set, and fails on demand.

The API sends a download on to a signed address under another host name, as the real one does; that address answers
ranges. No account but `USER` with `KEY`, or `TOKEN`, is known. `python -m kaggle_server FOLDER -- COMMAND` serves the
files of a folder as `DATASET` while the command runs.
"""

import argparse
import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

USER, KEY, TOKEN = "somebody", "a-secret-key", "KGAT_a-secret-token"
DATASET = "kazanova/sentiment140"
API = "/v1/datasets.DatasetApiService"
SIGNATURE = "X-Goog-Signature=secret"


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # of one date: the same bytes
    return buffer.getvalue()


@dataclass
class Dataset:
    """One data set: its files as they are listed, and the bytes of its archive."""

    files: dict[str, bytes]
    archive: bytes = b""
    forbidden: bool = False

    def __post_init__(self) -> None:
        self.archive = self.archive or zipped(self.files)


@dataclass
class Faults:
    """What goes wrong; `cuts`: after so many bytes the connection of the next answers breaks, one after the other."""

    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    store_statuses: list[int] = field(default_factory=list)
    store_port: int = 0
    login_page: bool = False
    no_ranges: bool = False
    no_hash: bool = False
    wrong_md5: bool = False
    extra_length: int = 0


class KaggleServer(ThreadingHTTPServer):
    """To be used by `with`; `sent` counts the bytes of archives, `asked` holds (path, Range, Authorization)."""

    daemon_threads = True

    def __init__(self, datasets: dict[str, Dataset]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.datasets = datasets
        self.faults = Faults()
        self.sent = 0
        self.asked: list[tuple[str, str, str]] = []
        self.page = 2
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()

    def __enter__(self) -> Self:
        return self

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is none of this server's errors."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """For KAGGLE_API_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def ranges(self) -> list[str]:
        """The ranges that were asked of archives, in order; empty for a whole one."""
        return [wanted for path, wanted, _ in self.asked if path.startswith("/store/")]


class _Handler(BaseHTTPRequestHandler):
    server: KaggleServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self._note()
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.faults.login_page:
            return self._say(200, "<html>log in</html>", "text/html")
        if self.server.faults.statuses:
            return self._say(self.server.faults.statuses.pop(0), {"message": "not now"})
        basic = base64.b64encode(f"{USER}:{KEY}".encode()).decode()
        if self.headers.get("Authorization") not in (f"Bearer {TOKEN}", f"Basic {basic}"):
            return self._say(401, {"code": 401, "message": "Unauthenticated"})
        name = f"{request['ownerSlug']}/{request['datasetSlug']}"
        dataset = self.server.datasets.get(name)
        if dataset is None:
            return self._say(404, {"code": 404, "message": "Not found"})
        if dataset.forbidden:
            return self._say(403, {"code": 403, "message": "Permission 'datasets.get' was denied"})
        if self.path == f"{API}/ListDatasetFiles":
            return self._list(dataset, request)
        assert self.path == f"{API}/DownloadDataset"
        self.send_response(302)
        port = self.server.faults.store_port or self.server.server_address[1]
        self.send_header("Location", f"http://localhost:{port}/store/{name}?{SIGNATURE}")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def do_GET(self) -> None:
        self._note()
        url = urlsplit(self.path)
        assert url.query == SIGNATURE
        if self.server.faults.store_statuses:
            return self._say(self.server.faults.store_statuses.pop(0), {"message": "not now"})
        content = self.server.datasets[url.path.removeprefix("/store/")].archive
        return self._send(content)

    def _list(self, dataset: Dataset, request: dict[str, Any]) -> None:
        begin = int(request.get("pageToken") or 0)
        end = begin + self.server.page
        names = list(dataset.files)
        date = "2017-09-13T22:43:19Z"
        files = [
            {"name": name, "totalBytes": len(dataset.files[name]), "creationDate": date} for name in names[begin:end]
        ]
        self._say(200, {"datasetFiles": files, "nextPageToken": str(end) if end < len(names) else ""})

    def _send(self, content: bytes) -> None:
        faults = self.server.faults
        digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        tag = f'"{hashlib.sha256(content).hexdigest()[:12]}"'
        start = 0
        wanted = self.headers.get("Range", "")
        if wanted and not faults.no_ranges and self.headers.get("If-Range", tag) == tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Type", "application/zip")
        self.send_header("Content-Length", str(len(content) - start + faults.extra_length))
        self.send_header("ETag", tag)
        if not faults.no_hash:
            self.send_header("x-goog-hash", "crc32c=AAAAAA==")
            self.send_header("x-goog-hash", f"md5={'AAAA' if faults.wrong_md5 else digest}")
        self.end_headers()
        end = min(len(content), start + faults.cuts.pop(0)) if faults.cuts else len(content)
        self.server.sent += end - start
        self.wfile.write(content[start:end])
        if end < len(content) or faults.extra_length:
            self.close_connection = True

    def _note(self) -> None:
        headers = self.headers
        self.server.asked.append((self.path, headers.get("Range", ""), headers.get("Authorization", "")))

    def _say(self, status: int, answer: object, kind: str = "application/json") -> None:
        body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Nothing: a test's output is read."""


def main(argv: list[str] | None = None) -> int:
    """Run a command whose Kaggle is a server of its own; the command's exit code."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("folder", type=Path, help="its files are the data set")
    parser.add_argument("--cut-after", type=int, help="bytes after which the first connection breaks")
    parser.add_argument("command", nargs="+", help="after --")
    args = parser.parse_args(argv)
    files = {path.name: path.read_bytes() for path in sorted(args.folder.iterdir())}
    with KaggleServer({DATASET: Dataset(files)}) as server:
        server.faults.cuts = [args.cut_after] if args.cut_after else []
        env = {**os.environ, "KAGGLE_API_ENDPOINT": server.url, "KAGGLE_API_TOKEN": TOKEN}
        return subprocess.run(args.command, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
