"""What notices are sent to: a webhook and a mail server of a test's own, which keep what they get."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Kept:
    """A server's port, and what it was sent: JSON bodies or whole mails."""

    port: int
    got: list[Any] = field(default_factory=list)


@contextmanager
def webhook(status: int = 200) -> Iterator[Kept]:
    """A webhook that answers every POST with a status."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            got.append(json.loads(self.rfile.read(length)))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _serving(server):
        yield Kept(server.server_address[1], got)


@contextmanager
def mail_server(refuses: str = "") -> Iterator[Kept]:
    """A mail server that takes every mail, or refuses every recipient with a line."""
    got: list[Any] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 test")
            while word := self.rfile.readline().split(b" ")[0].strip().upper():
                if word == b"DATA":
                    self.say("354 go on")
                    lines = iter(self.rfile.readline, b".\r\n")
                    got.append(b"".join(lines).decode())
                self.say(f"550 {refuses}" if refuses and word == b"RCPT" else "250 fine")
                if word == b"QUIT":
                    return

        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server, _serving(server):
        yield Kept(server.server_address[1], got)


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
