"""A door to the object store for gcloud and gsutil: TLS or not, and an answer to DELETE as Google's store gives it.

fake-gcs-server answers a DELETE with `null`, and both clients then take an object that is gone for a failure.
`gcs_front.py PORT TO_PORT FOLDER` passes on to the store at 127.0.0.1:TO_PORT; its certificate lies in FOLDER.
"""

import datetime
import http.client
import socket
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TLS_HANDSHAKE = b"\x16"
PIECE_BYTES = 1024 * 1024
PATIENCE_SECONDS = 120
BIND_SECONDS, LOOK_SECONDS = 10.0, 0.2
OF_THE_CONNECTION = {"connection", "transfer-encoding", "keep-alive"}


class Front(ThreadingHTTPServer):
    """Passes each request on; a connection that begins with a TLS handshake gets TLS."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, to_port: int, context: ssl.SSLContext) -> None:
        self.to_port, self.context = to_port, context
        super().__init__(("127.0.0.1", port), Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread: whoever opens one and is silent keeps nobody else waiting."""
        request.settimeout(PATIENCE_SECONDS)
        if request.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE:
            request = self.context.wrap_socket(request, server_side=True)
        Handler(request, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that went away is no news; anything else is a line in the log."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError | ssl.SSLError):
            print(f"gcs-front: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE_SECONDS
    server: Front

    def do_GET(self) -> None:
        """One request to the store and back."""
        store = http.client.HTTPConnection("127.0.0.1", self.server.to_port, timeout=PATIENCE_SECONDS)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in OF_THE_CONNECTION}
            store.request(self.command, self.path, self._body(), headers)
            answer = store.getresponse()
            if self.command == "DELETE" and answer.status == 200:
                answer.read()
                self.send_response(204)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._answer(answer)
        except (OSError, http.client.HTTPException) as error:
            self.close_connection = True
            self.send_error(502, f"the store does not answer: {type(error).__name__}")
        finally:
            store.close()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """No line for each request: the log is for what goes wrong."""

    def _body(self) -> bytes | None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        length = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(length) if length else None

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in (*OF_THE_CONNECTION, "date"):
                self.send_header(name, value)
        chunked = answer.getheader("Content-Length") is None and self.command != "HEAD"
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command == "HEAD":
            return
        while piece := answer.read(PIECE_BYTES):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")


def certificate(path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, made once; no client is asked to trust it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    if path.exists():
        return path
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path.touch(mode=0o600)
    path.write_bytes(private + made.public_bytes(pem))
    return path


def bound(port: int, to_port: int, context: ssl.SSLContext) -> Front:
    """The server; one that was killed a moment ago may still have the port."""
    until = time.monotonic() + BIND_SECONDS
    while True:
        try:
            return Front(port, to_port, context)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(LOOK_SECONDS)


def main() -> None:
    """Serve until somebody ends this process."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(Path(sys.argv[3]) / "front.pem"))
    bound(int(sys.argv[1]), int(sys.argv[2]), context).serve_forever()


if __name__ == "__main__":
    main()
