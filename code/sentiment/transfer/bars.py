"""How far a transfer is: a bar on a terminal, elsewhere a line every 15 seconds."""

import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

from sentiment.progress import HEARTBEAT_SECONDS, log

MB = 1e6


def megabytes(size: float) -> str:
    """A number of bytes as people read it: `238.8 MB`; below a tenth of a MB in bytes."""
    return f"{size / MB:,.1f} MB" if size >= MB / 10 else f"{size:.0f} bytes"


def files(count: int) -> str:
    """`1 file`, `2 files`."""
    return f"{count:,} file{'' if count == 1 else 's'}"


class Bar:
    """Bytes done out of `total` (0: nobody knows), told by any number of threads; to be used by `with`."""

    def __init__(self, title: str, total: int = 0) -> None:
        self.title = title
        self.total = total
        self.done = 0
        self._lock = threading.Lock()
        self._began = self._told = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(desc=self.title, total=self.total or None, unit="B", unit_scale=True, file=sys.stderr)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def expect(self, total: int) -> None:
        """The total is known by now."""
        with self._lock:
            self.total = total
            if self._bar is not None:
                self._bar.total = total
                self._bar.refresh()

    def add(self, count: int) -> None:
        """So many bytes more; negative where some have to be sent again."""
        with self._lock:
            self.done += count
            if self._bar is not None:
                self._bar.update(count)
            elif time.monotonic() - self._told >= HEARTBEAT_SECONDS:
                self._told = time.monotonic()
                log.info("%s", self.line())

    def line(self) -> str:
        """`title: 120.0 MB of 238.8 MB (50 %), 11.2 MB a second`."""
        part = f" of {megabytes(self.total)} ({self.done / self.total:.0%})" if self.total else ""
        speed = self.done / max(time.monotonic() - self._began, 0.001)
        return f"{self.title}: {megabytes(self.done)}{part}, {megabytes(speed)} a second"
