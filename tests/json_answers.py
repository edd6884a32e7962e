"""A handler of HTTP requests that answers in JSON, for stand-ins of a store's errors."""

import json
from http.server import BaseHTTPRequestHandler


class JsonHandler(BaseHTTPRequestHandler):
    """`answer` is what do_GET and its kin end with."""

    def answer(self, code: int, content: object) -> None:
        """Send the status code and the content as JSON."""
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Nothing: a test's output is read."""
