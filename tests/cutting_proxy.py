"""A TCP proxy before a server on 127.0.0.1 that breaks connections: so many bytes into a request, or before an answer.

The store names its own address for the parts of an upload; the proxy writes its own instead.
"""

import socket
import struct
import threading
from types import TracebackType
from typing import Self

PIECE = 1 << 16


class CuttingProxy:
    """To be used by `with`; `cuts` connections have been broken so far.

    Args:
        port: of the server.
        after: each number is a count of bytes to the server, of all connections together, at which the connection
            that carries the byte is broken, both ways, the rest of its request lost.
        answers: so many answers, of requests with more than `least` bytes, are lost: the server has had the request.
    """

    def __init__(self, port: int, after: list[int], answers: int = 0, least: int = PIECE) -> None:
        self.cuts = 0
        self._port = port
        self._after = sorted(after)
        self._answers = answers
        self._least = least
        self._seen = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.names = (f"127.0.0.1:{port}".encode(), f"127.0.0.1:{self.port}".encode())
        assert len(self.names[0]) == len(self.names[1]), "want ports of as many digits: lengths stand in answers"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            _Pair(self, client, socket.create_connection(("127.0.0.1", self._port)))

    def may_pass(self, count: int) -> bool:
        """Whether so many bytes more go to the server, or the connection is broken instead."""
        with self._lock:
            self._seen += count
            if self._after and self._seen >= self._after[0]:
                self._after.pop(0)
                self.cuts += 1
                return False
            return True

    def may_answer(self, had: int) -> bool:
        """Whether an answer to a request of `had` bytes goes back."""
        with self._lock:
            if self._answers and had > self._least:
                self._answers -= 1
                self.cuts += 1
                return False
            return True


class _Pair:
    def __init__(self, proxy: CuttingProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._had = 0
        for task in (self._there, self._back):
            threading.Thread(target=task, daemon=True).start()

    def _there(self) -> None:
        try:
            while piece := self._client.recv(PIECE):
                if not self._proxy.may_pass(len(piece)):
                    return self._break()
                self._had += len(piece)
                self._server.sendall(piece)
        except OSError:
            pass
        return self._break()

    def _back(self) -> None:
        try:
            while piece := self._server.recv(PIECE):
                had, self._had = self._had, 0
                if not self._proxy.may_answer(had):
                    return self._break()
                self._client.sendall(piece.replace(*self._proxy.names))
        except OSError:
            pass
        return self._break()

    def _break(self) -> None:
        """A reset, not a polite end."""
        for one in (self._client, self._server):
            try:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
