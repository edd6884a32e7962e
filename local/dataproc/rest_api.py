"""The API over REST: JSON as protobuf maps it, errors as Google's services write them."""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from google.protobuf import json_format
from grpc import StatusCode

from dataproc.errors import ApiError, invalid
from dataproc.methods import Method

# What every Google API takes beside a request's own fields.
SYSTEM = re.compile(
    r"\$?(alt|key|fields|prettyPrint|quotaUser|callback|access_token|oauth_token|uploadType)|upload_protocol|\$\.?xgafv"
)
HOSTS = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]+)?")
MASK = "update_mask"
LARGEST_BODY = 10 * 1024 * 1024
LONG = {
    "name": r"(?P<name>projects/[^/:]+/regions/[^/:]+/operations/[^/:]+)",
    "names": r"(?P<name>projects/[^/:]+/regions/[^/:]+/operations)/?",
}


class Server(ThreadingHTTPServer):
    """The server; no request keeps it from ending."""

    daemon_threads = True
    request_queue_size = 128


def serve(methods: Iterable[Method], port: int) -> Server:
    """A server that is bound and not yet serving; OSError when the port is taken."""
    routes = [(method, re.compile(f"/v1/{_pattern(method.path)}")) for method in methods]
    return Server(("127.0.0.1", port), partial(Handler, routes))


def _pattern(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: LONG.get(match[1], rf"(?P<{match[1]}>[^/:]+)"), path)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = 120
    disable_nagle_algorithm = True

    def __init__(self, routes: list[tuple[Method, re.Pattern[str]]], *args: Any) -> None:
        self._routes = routes
        super().__init__(*args)

    def do_GET(self) -> None:
        """One call of the API."""
        try:
            body = self._body()
            if self.path == "/healthz":
                self._answer(200, {"status": "ok"})
                return
            self._check_origin()
            status, answer = 200, self._call(body)
        except ApiError as error:
            status, answer = error.http, _error(error.http, str(error), error.code)
        except Exception as error:  # noqa: BLE001  the client gets a status, whatever went wrong
            line = f"{type(error).__name__}: {error}"
            print(f"{self.command} {self.path}: {line}", file=sys.stderr, flush=True)
            status, answer = 500, _error(500, line, StatusCode.INTERNAL)
        self._answer(status, answer)

    do_POST = do_PATCH = do_DELETE = do_PUT = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """No line for each request: the log is for what goes wrong."""

    def _check_origin(self) -> None:
        """A page in a browser must not submit jobs, by whatever name it reaches this machine."""
        if self.headers.get("Origin") or not HOSTS.fullmatch(self.headers.get("Host", "")):
            raise ApiError(StatusCode.PERMISSION_DENIED, "want a client on this machine that calls 127.0.0.1")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > LARGEST_BODY or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            raise invalid(f"Content-Length: want at most {LARGEST_BODY} bytes, and no Transfer-Encoding, got {length}")
        return self.rfile.read(int(length))

    def _call(self, body: bytes) -> Any:
        address = urlsplit(self.path)
        for method, pattern in self._routes:
            match = pattern.fullmatch(address.path) if method.verb == self.command else None
            if match is not None:
                parts = {name: unquote(value) for name, value in match.groupdict().items()}
                query = parse_qsl(address.query, keep_blank_values=True)
                numbers = any(name == "$alt" and "enum-encoding=int" in value for name, value in query)
                answer = method(_request(method, parts, query, body))
                return json_format.MessageToDict(answer, use_integers_for_enums=numbers)
        raise ApiError(StatusCode.NOT_FOUND, f"Not found: {self.command} {address.path} is no method of this server")

    def _answer(self, status: int, content: Any) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _request(method: Method, parts: Mapping[str, str], query: list[tuple[str, str]], body: bytes) -> Any:
    """The protobuf request out of path, query and body; what none of its fields knows is refused."""
    content: dict[str, Any] = {}
    paths = None
    for name, value in query:
        if SYSTEM.fullmatch(name):
            continue
        if _snake(name) == MASK:
            paths = [_snake(path.strip()) for path in value.split(",") if path.strip()]
            continue
        *outer, last = name.split(".")
        place = content
        for field in outer:
            place = place.setdefault(field, {})
        place[last] = value
    if method.body:
        given = _json(body)
        if method.body == "*":
            content.update(given)
        else:
            content[method.body] = given
    content.update(parts)
    request = method.request()
    try:
        json_format.ParseDict(content, request)
    except json_format.ParseError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
    if paths is not None:
        request.update_mask.paths[:] = paths
    return request


def _json(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
    if not isinstance(given, dict):
        raise invalid(f"Invalid JSON payload received. Want an object, got {type(given).__name__}")
    return given


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)


def _error(status: int, message: str, code: StatusCode) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": code.name}}
