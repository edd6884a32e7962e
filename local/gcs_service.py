"""The object store as one of the services: fake-gcs-server, installed once with the Go that is there."""

import os
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import buckets
import clients
import settings
from daemons import Daemon
from services import LOCAL, ROOT, ServiceError, locked, run_watched
from supervisor import Service

MODULE = "github.com/fsouza/fake-gcs-server"
BINARY = "fake-gcs-server"
QUICKLY = ("-tags=disable_grpc_modules", "-gcflags=all=-l -dwarf=false", "-ldflags=-s -w")
"""Without the ways to Google that gRPC has within its cloud (a fifth of all packages), nothing inlined, nothing for a
debugger: 58 s of CPU to compile instead of 103."""
LIMIT_SECONDS = 1200


class Gcs(Service):
    """fake-gcs-server with its memory backend, the one under which folders behave; saved at `make down`.

    The door for gcloud and gsutil is a process of its own: it comes back without the store's losing what it holds.
    """

    name = "gcs"
    section_keys = ("port", "tls_port")

    def __init__(
        self, folder: Path | None = None, port: int = 0, binaries: Path | None = None, tls_port: int = 0
    ) -> None:
        super().__init__(folder, port)
        self._tls_port = tls_port
        self.front = Daemon("gcs-front", self.folder)
        self.binaries = binaries or LOCAL / "bin"
        self.saved = self.folder / "buckets.zip"
        self._loaded = self.folder / "loaded"  # which process has the saved buckets: one without must never save

    @property
    def daemons(self) -> Sequence[Daemon]:
        return [self.daemon, self.front]

    def ports(self) -> dict[str, int]:
        given = {"tls_port": self._tls_port} if self._tls_port else {}
        return {**super().ports(), **given, **self.ports_held()}

    def missing(self) -> str:
        if installed(self.binaries) or shutil.which("go"):
            return ""
        return f"want Go on PATH to install {BINARY} once, found none; gs:// paths have no store here"

    def prepare(self) -> None:
        install(self.binaries)

    def launch(self, env: Mapping[str, str]) -> None:
        """Start what does not run: the store, its door, or both."""
        ports = self.ports()
        port, tls_port = ports["port"], ports["tls_port"]
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.daemon.pid() is None:
            options = {
                "scheme": "http",
                "host": "127.0.0.1",
                "port": str(port),
                "backend": "memory",
                "public-host": f"127.0.0.1:{port}",
                "external-url": f"http://127.0.0.1:{port}",
                "log-level": "warn",
            }
            command = [str(self.binaries / BINARY), *(part for key in options for part in (f"-{key}", options[key]))]
            self.daemon.start(command, env=env, ports={"port": port})
        if self.front.pid() is None:
            command = [sys.executable, str(ROOT / "local" / "gcs_front.py"), str(tls_port), str(port), str(self.folder)]
            self.front.start(command, env=env, ports={"tls_port": tls_port})

    def is_healthy(self) -> bool:
        if not self.is_running():
            return False
        try:
            socket.create_connection(("127.0.0.1", self.ports()["tls_port"]), timeout=5).close()
        except OSError:
            return False
        with buckets.Store(self.port, patience=5) as store:
            return store.is_healthy()

    def complete(self) -> None:
        with buckets.Store(self.port) as store:
            if self._is_loaded():
                store.make_buckets(settings.words("gcs", "buckets"))
                return
            if self.saved.is_file():
                count = buckets.load(store, self.saved)
                print(f"gcs: {count} objects loaded from {os.path.relpath(self.saved)}")
            store.make_buckets(settings.words("gcs", "buckets"))
        self._loaded.write_text(self._life(), encoding="utf-8")

    def conclude(self) -> None:
        if not self._is_loaded():
            return
        with buckets.Store(self.port) as store:
            if not store.is_healthy():
                told = "gcs: does not answer, so that what it holds is lost; what was saved before it stays"
                print(told, file=sys.stderr)
                return
            count, size = buckets.save(store, self.saved)
        place = os.path.relpath(self.saved)
        print(f"gcs: {count} objects ({size / 1e6:.1f} MB) saved to {place}; the next `make up` loads them")

    def exports(self) -> dict[str, str]:
        return clients.exports(self.folder.parent, *self.ports().values())

    def _life(self) -> str:
        """The process that runs, told apart from those of other times."""
        note = self.daemon.note() or {}
        return f"{note.get('pid')} {note.get('identity')}"

    def _is_loaded(self) -> bool:
        return self._loaded.is_file() and self._loaded.read_text(encoding="utf-8") == self._life()


def installed(folder: Path) -> bool:
    """Whether the pinned version lies in `folder`."""
    stamp = folder / f".{BINARY}"
    return (
        (folder / BINARY).is_file()
        and stamp.is_file()
        and stamp.read_text(encoding="utf-8") == settings.text("gcs", "version")
    )


def install(folder: Path) -> None:
    """Install the pinned version into `folder`, once, from wherever the user's Go gets its modules.

    Raises:
        ServiceError: Go could not; the line says why.
    """
    if installed(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / f".{BINARY}.lock"):
        if installed(folder):
            return
        version = settings.text("gcs", "version")
        doing, log = f"gcs: installing {BINARY} {version}", folder.parent / "gcs-install.log"
        print(f"{doing} (a minute or so, the first time)", file=sys.stderr, flush=True)
        env = {**os.environ, "GOBIN": str(folder)}
        command = ["go", "install", *QUICKLY, f"{MODULE}@{version}"]
        code = run_watched(command, log, doing, LIMIT_SECONDS, cwd=folder, env=env)
        if code != 0 or not (folder / BINARY).is_file():
            why = f"no end after {LIMIT_SECONDS} s" if code < 0 else _complaint(log)
            raise ServiceError(f'{doing}: {why} (all of it: {log}); without it: make up SERVICES="kafka mlflow"')
        (folder / f".{BINARY}").write_text(version, encoding="utf-8")


def _complaint(log: Path) -> str:
    """The last line that Go printed: the first ones tell what it downloads."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "go install failed without saying why"
