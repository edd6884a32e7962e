"""Clusters, jobs and operations in one SQLite file: what is written stands, whenever the server is killed."""

import base64
import binascii
import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataproc.errors import invalid

SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, project TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
    active INTEGER NOT NULL, body BLOB NOT NULL, extra TEXT NOT NULL,
    UNIQUE (kind, project, region, name)
);
CREATE INDEX IF NOT EXISTS active_items ON items (kind, active);
CREATE TABLE IF NOT EXISTS requests (
    kind TEXT NOT NULL, project TEXT NOT NULL, region TEXT NOT NULL, request TEXT NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (kind, project, region, request)
);
"""
COLUMNS = "seq, kind, project, region, name, active, body, extra"
LARGEST_PAGE = 1000
DEFAULT_PAGE = 100


@dataclass(frozen=True)
class Key:
    """What names a thing: its kind (cluster, job, operation), project, region and name."""

    kind: str
    project: str
    region: str
    name: str

    def __str__(self) -> str:
        return f"projects/{self.project}/regions/{self.region}/{self.kind}s/{self.name}"


@dataclass
class Item:
    """One stored thing: a serialized message, whether it is still at work, and what the message has no field for."""

    key: Key
    body: bytes
    active: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    seq: int = 0


class Store:
    """The file `path`; every method may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nobody else in between; may be nested."""
        with self._lock:
            if self._database.in_transaction:
                yield
                return
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def get(self, key: Key) -> Item | None:
        """The item, or None."""
        where = "kind = ? AND project = ? AND region = ? AND name = ?"
        items = self._select(where, (key.kind, key.project, key.region, key.name))
        return items[0] if items else None

    def put(self, item: Item) -> None:
        """Insert it, or replace what has its key; the place in lists stays."""
        key = item.key
        with self._lock:
            self._database.execute(
                "INSERT INTO items (kind, project, region, name, active, body, extra) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (kind, project, region, name) "
                "DO UPDATE SET active = excluded.active, body = excluded.body, extra = excluded.extra",
                (key.kind, key.project, key.region, key.name, item.active, item.body, json.dumps(item.extra)),
            )

    def remove(self, key: Key) -> None:
        """Delete it, if it is there, and the request that made it."""
        with self._lock:
            for table in ("items", "requests"):
                self._database.execute(
                    f"DELETE FROM {table} WHERE kind = ? AND project = ? AND region = ? AND name = ?",
                    (key.kind, key.project, key.region, key.name),
                )

    def active(self, kind: str) -> list[Item]:
        """All of a kind that are still at work, the oldest first."""
        return self._select("kind = ? AND active = 1 ORDER BY seq", (kind,))

    def listed(self, kind: str, project: str, region: str, before: int | None = None) -> list[Item]:
        """A region's items, the newest first; `before` is the place in the list after which to begin."""
        where, values = "kind = ? AND project = ? AND region = ?", [kind, project, region]
        if before is not None:
            return self._select(f"{where} AND seq < ? ORDER BY seq DESC", (*values, before))
        return self._select(f"{where} ORDER BY seq DESC", tuple(values))

    def answered(self, kind: str, project: str, region: str, request: str) -> str | None:
        """The name of what the first request of this id made, or None."""
        with self._lock:
            row = self._database.execute(
                "SELECT name FROM requests WHERE kind = ? AND project = ? AND region = ? AND request = ?",
                (kind, project, region, request),
            ).fetchone()
        return str(row[0]) if row else None

    def answer(self, kind: str, project: str, region: str, request: str, name: str) -> None:
        """Note what the request of this id made; an empty id is not noted."""
        if request:
            with self._lock:
                self._database.execute(
                    "INSERT INTO requests VALUES (?, ?, ?, ?, ?)", (kind, project, region, request, name)
                )

    def _select(self, where: str, values: tuple[Any, ...]) -> list[Item]:
        with self._lock:
            rows = self._database.execute(f"SELECT {COLUMNS} FROM items WHERE {where}", values).fetchall()
        return [Item(Key(*row[1:5]), row[6], bool(row[5]), json.loads(row[7]), row[0]) for row in rows]


def page(
    store: Store,
    kind: str,
    project: str,
    region: str,
    size: int,
    token: str,
    query: str,
    wanted: Callable[[Item], bool],
) -> tuple[list[Item], str]:
    """One page of the items that are wanted and the token of the next, empty at the end.

    Args:
        query: whatever else the request asks for; a token serves only for the query that it was given for.

    Raises:
        ApiError: a negative size, a token that this server did not give.
    """
    if size < 0:
        raise invalid(f"page_size: want 0 or more, got {size}")
    mark = hashlib.sha256(f"{kind} {project} {region} {query}".encode()).hexdigest()[:12]
    limit = min(size or DEFAULT_PAGE, LARGEST_PAGE)
    found: list[Item] = []
    for item in store.listed(kind, project, region, _place(token, mark) if token else None):
        if not wanted(item):
            continue
        if len(found) == limit:
            return found, base64.urlsafe_b64encode(f"{mark}:{found[-1].seq}".encode()).decode()
        found.append(item)
    return found, ""


def _place(token: str, mark: str) -> int:
    try:
        of, _, seq = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if of == mark:
            return int(seq)
    except (binascii.Error, ValueError):
        pass
    raise invalid(f"page_token: want the token that the same query gave before, got {token!r}")
