"""The driver's output where clients read it: numbered objects in the staging bucket, while the job runs."""

import json
import re
from pathlib import Path
from typing import Any

LOG = "driveroutput"
CHUNK_BYTES = 8 * 1024 * 1024
UPLOAD_SECONDS = 20.0
OWN_ERROR = re.compile(r"[\w-]+\.py: error: ")
"""How a script of the suite tells a user's mistake; Spark goes on to talk while it ends."""
CHATTER = re.compile(r"\S+ \S+ (INFO|WARN) ")
"""Log4j's lines of Spark."""


class DriverOutput:
    """The log in the job's folder, and where it stands at `uri`: a gs:// prefix, or the file itself.

    gcloud reads `<uri>.000000000`, `.000000001` and so on until an empty object.
    """

    def __init__(self, folder: Path, uri: str, client: Any = None) -> None:
        self.log = folder / LOG
        self.log.touch()
        self._note = folder / "uploaded.json"
        self._uri = uri
        self._client = client

    def push(self, last: bool = False) -> None:
        """Upload what the log has grown by; with `last` the empty object too.

        Raises:
            Exception: the store's own errors; the next call takes up where this one stopped.
        """
        if self._client is None:
            return
        noted = json.loads(self._note.read_text(encoding="utf-8")) if self._note.exists() else {}
        offset, index = noted.get("offset", 0), noted.get("index", 0)
        if noted.get("closed"):
            return
        with self.log.open("rb") as file:
            file.seek(offset)
            while chunk := file.read(CHUNK_BYTES):
                self._upload(index, chunk)
                offset, index = offset + len(chunk), index + 1
                self._remember(offset, index, closed=False)
        if last:
            self._upload(index, b"")
            self._remember(offset, index, closed=True)

    def last_line(self) -> str:
        """The line of the log that most likely says what went wrong, at most 300 characters; empty: there is none."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 16_384))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        own = [line for line in lines if OWN_ERROR.match(line)]
        telling = [line for line in lines if "Error" in line.split(" ")[0] or "Exception" in line.split(" ")[0]]
        rest = [line for line in lines if not CHATTER.match(line)]
        return (own or telling or rest or [""])[-1][:300]

    def _upload(self, index: int, data: bytes) -> None:
        bucket, _, prefix = self._uri.removeprefix("gs://").partition("/")
        blob = self._client.bucket(bucket).blob(f"{prefix}.{index:09d}")
        blob.upload_from_string(data, content_type="text/plain", timeout=UPLOAD_SECONDS, retry=None)

    def _remember(self, offset: int, index: int, closed: bool) -> None:
        partial = self._note.with_suffix(".partial")
        partial.write_text(json.dumps({"offset": offset, "index": index, "closed": closed}), encoding="utf-8")
        partial.replace(self._note)
