"""A real MLflow server, and a gate before it that can refuse, answer 500, or hang."""

import os
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from daemons import Daemon
from services import free_port

START_SECONDS = 180.0
HANG_SECONDS = 40.0


class Server:
    """`mlflow server` over a database, on a port of its own."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.port = free_port()
        self._daemon = Daemon("mlflow", folder)
        self._uri = uri

    def __enter__(self) -> "Server":
        mlflow = str(Path(sys.executable).parent / "mlflow")
        command = [mlflow, "server", "--backend-store-uri", self._uri, "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1"]
        quick = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._daemon.start(command, {**os.environ, **quick, "PATH": path}, self._daemon.folder)
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._daemon.pid() is None or time.monotonic() > until:
                raise RuntimeError(f"the MLflow server did not start:\n{self._daemon.tail()}")
            time.sleep(0.5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._daemon.stop(10)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                return True
        except OSError:
            return False


class Gate:
    """Passes requests on to a port, or does not.

    Attributes:
        mode: pass; refuse (connections are closed at once); fail (500); hang (no answer).
    """

    def __init__(self, target: int) -> None:
        self.mode = "pass"
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else None
                if gate.mode == "hang":
                    time.sleep(HANG_SECONDS)
                if gate.mode in ("refuse", "hang"):
                    self.close_connection = True
                    return
                if gate.mode == "fail":
                    self._answer(500, b'{"error_code": "INTERNAL_ERROR", "message": "chaos"}')
                    return
                address = f"http://127.0.0.1:{target}{self.path}"
                kept = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                request = urllib.request.Request(address, body, kept, method=self.command)
                try:
                    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                        self._answer(answer.status, answer.read())
                except urllib.error.HTTPError as error:
                    self._answer(error.code, error.read())
                except urllib.error.URLError:  # the server behind the gate has ended, and a stream still asks
                    self.close_connection = True

            do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _any  # noqa: N815

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Not asked for."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> "Gate":
        threading.Thread(target=self._server.serve_forever, name="gate", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
