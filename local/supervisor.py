"""What `make up`, `make status` and `make down` do to services; a service is one subclass of `Service`.

The order in which services stand in a list is that in which they start; each is given the variables of those before it.
"""

import os
import shlex
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import settings
from clients import NO_METADATA, STORE
from daemons import Daemon, end, wait_until
from services import LOCAL, ROOT, ServiceError, SettingError, require_free

# Variables of ours that a user's shell may hold, from an earlier `source .local/env` or for a cloud: a service gets
# today's only, and so does a shell that sources .local/env.
STALE = (
    STORE,
    "STORAGE_EMULATOR_HOST",
    "MLFLOW_TRACKING_URI",
    "KAFKA_BOOTSTRAP",
    "DATAPROC_ENDPOINT",
    "SENTIMENT_LEDGER",
    "SPARK_MASTER_URL",
)
NO_PROXY = "127.0.0.1,localhost"
# A shell that goes through a proxy must not look for this machine there; sourced twice, it says it once.
NO_PROXY_LINES = [
    f'case "${{{name}:-}}" in *{NO_PROXY}*) ;; *) export {name}={NO_PROXY}"${{{name}:+,${name}}}" ;; esac'
    for name in ("NO_PROXY", "no_proxy")
]
Exports = Callable[[], Mapping[str, str]]
"""Gives the variables that do not depend on services; called only where they are needed."""

ADVICE = "In other shells: . {path}    To stop: make down"


class Service(ABC):
    """One local service: a daemon (or several) on ports of 127.0.0.1, with all that belongs to it under `folder`.

    `folder` defaults to .local/<name>, `port` 0 stands for the one of local/settings.toml.
    """

    name: ClassVar[str]
    section_keys: ClassVar[tuple[str, ...]] = ("port",)
    """The ports that it listens on, by their keys in the section `name` of local/settings.toml; the first is `port`."""
    start_seconds: ClassVar[float] = 120.0
    stop_seconds: ClassVar[float] = 60.0
    stop_signal: ClassVar[int] = signal.SIGTERM

    def __init__(self, folder: Path | None = None, port: int = 0) -> None:
        self.folder = folder or LOCAL / self.name
        self.daemon = Daemon(self.name, self.folder)
        self._port = port

    @property
    def daemons(self) -> Sequence[Daemon]:
        """All its daemons, `daemon` first: it runs when all of them do."""
        return [self.daemon]

    @abstractmethod
    def launch(self, env: Mapping[str, str]) -> None:
        """Start what is not running, with `env` as its environment; the health is waited for elsewhere."""

    @abstractmethod
    def is_healthy(self) -> bool:
        """Whether it answers as it should."""

    def missing(self) -> str:
        """What this machine lacks to run it, as one line; empty: nothing. Such a service is skipped."""
        return ""

    def by_default(self) -> bool:
        """Whether `make up` starts it without being told its name."""
        return True

    def prepare(self) -> None:  # noqa: B027  not every service has a use for it
        """Fetch what it needs, once; before anything is started."""

    def complete(self) -> None:  # noqa: B027  not every service has a use for it
        """Make what clients look for, once it is healthy; nothing changes when all that is there."""

    def follow(self, known: Mapping[str, str]) -> None:  # noqa: B027  not every service has a use for it
        """Note where the services are that run now, by their exports; at each `make up`, whichever it started."""

    def conclude(self) -> None:  # noqa: B027  not every service has a use for it
        """What is to be saved before it stops. A ServiceError leaves it running."""

    def exports(self) -> dict[str, str]:
        """Variables that lead clients to it."""
        return {}

    def ports(self) -> dict[str, int]:
        """The ports that it listens on, or would, by their keys in local/settings.toml."""
        wanted = {key: settings.port(self.name, key) for key in self.section_keys}
        if self._port:
            wanted[self.section_keys[0]] = self._port
        return {**wanted, **self.ports_held()}

    def ports_held(self) -> dict[str, int]:
        """The ports of those of its daemons that run."""
        notes = [daemon.note() or {} for daemon in self.daemons if daemon.pid() is not None]
        return {key: port for note in notes for key, port in note.get("ports", {}).items()}

    @property
    def port(self) -> int:
        """The first of its ports."""
        return self.ports()[self.section_keys[0]]

    def address(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.port}"

    def is_running(self) -> bool:
        """Whether its processes are alive; `is_healthy` asks more."""
        return all(daemon.pid() is not None for daemon in self.daemons)

    def was_started(self) -> bool:
        """Whether it runs, or died: whether it was started and not stopped since."""
        return any(daemon.note() for daemon in self.daemons)

    def state(self) -> str:
        """running, stopped, died (it was not asked to), or no answer."""
        if self.is_running():
            return "running" if self.is_healthy() else "no answer"
        return "died" if self.was_started() else "stopped"

    def telling(self) -> Daemon:
        """The daemon whose log says most: the first one that died, else the first."""
        return next((daemon for daemon in self.daemons if daemon.note() and daemon.pid() is None), self.daemon)

    def memory(self) -> int:
        """Bytes, of all its processes."""
        return sum(daemon.memory() for daemon in self.daemons)

    def require_ports(self) -> None:
        """ServiceError, naming port, service and setting, when another program has one of its ports."""
        held = self.ports_held()
        for key, port in self.ports().items():
            if key not in held:
                require_free(port, self.name, settings.names(self.name, key))

    def stop(self) -> bool:
        """Stop it and all that it started, the last daemon first; whether the daemons ended of their own accord.

        Drivers of a killed Dataproc server have sessions of their own, in which the next server would find them.
        """
        clean = [daemon.stop(self.stop_seconds, self.stop_signal) for daemon in reversed(self.daemons)]
        end([process for daemon in self.daemons for process in daemon.marked()])
        return all(clean)

    def clear(self) -> None:
        """End what its killed daemons left behind."""
        for daemon in self.daemons:
            if daemon.pid() is None:
                end(daemon.family())


def environment(known: Mapping[str, str]) -> dict[str, str]:
    """The environment of a service: the user's, the exports of the services before it, and no way out."""
    inherited = {name: value for name, value in os.environ.items() if name not in STALE}
    proxies = {name: ",".join(filter(None, [NO_PROXY, inherited.get(name)])) for name in ("NO_PROXY", "no_proxy")}
    return {**inherited, **proxies, **NO_METADATA, "PYTHONUNBUFFERED": "1", **known}


def up(services: Sequence[Service], chosen: Sequence[str], common: Exports, env_file: Path) -> None:
    """Start the chosen services that are not running (none named: the usual ones), wait for them, write `env_file`.

    Raises:
        ServiceError: one cannot be had or does not come up; nothing starts while a port of any of them is taken.
    """
    wanted = _available(services, chosen)
    starting = [service for service in wanted if not service.is_running()]
    _require_different_ports(starting)
    for service in starting:
        service.clear()
        service.require_ports()
    for service in starting:
        service.prepare()
    known = dict(common())
    for service in services:
        if service in starting:
            service.launch(environment(known))
        if service.is_running():
            known |= service.exports()
    for service in wanted:
        wait_until(service.name, service.daemons, service.is_healthy, service.start_seconds)
        service.complete()
    for service in services:
        if service in wanted or service.is_healthy():
            service.follow(known)
    write_env(services, common, env_file)
    print(table(services))
    print(ADVICE.format(path=_sourced(env_file)))
    for service in wanted:
        _tell_ports_that_count_later(service)


def _available(services: Sequence[Service], chosen: Sequence[str]) -> list[Service]:
    """The chosen services, else all that this machine can run; ServiceError: one is chosen that it cannot run."""
    found = []
    for service in services:
        if not chosen and not service.by_default() and not service.was_started():
            continue
        reason = "" if service.is_running() else service.missing()
        if reason and service.name in chosen:
            raise ServiceError(f"{service.name}: {reason}")
        if reason and not chosen:
            print(f"{service.name}: skipped: {reason}", file=sys.stderr, flush=True)
        elif not chosen or service.name in chosen:
            found.append(service)
    return found


def _require_different_ports(services: Sequence[Service]) -> None:
    settings_of: dict[int, str] = {}
    for service in services:
        for key, port in service.ports().items():
            setting = settings.names(service.name, key)
            if port in settings_of:
                raise SettingError(
                    f"{service.name}: want a port of its own for {setting}, found {port} for {settings_of[port]} too"
                )
            settings_of[port] = setting


def _tell_ports_that_count_later(service: Service) -> None:
    for key, port in service.ports().items():
        asked = os.environ.get(settings.variable(service.name, key))
        if asked and asked != str(port):
            name = settings.variable(service.name, key)
            print(f"{service.name}: ran already on port {port}; {name}={asked} counts after `make down`")


def down(services: Sequence[Service], chosen: Sequence[str], common: Exports, env_file: Path) -> None:
    """Stop the chosen services (none named: all), the last one first.

    Raises:
        ServiceError: one could not save what it holds, and runs on; the others are stopped.
    """
    complaints = []
    for service in reversed([service for service in services if not chosen or service.name in chosen]):
        try:
            if any(daemon.pid() is not None for daemon in service.daemons):
                service.conclude()
        except ServiceError as error:
            complaints.append(str(error))
            continue
        if not service.stop():
            print(f"{service.name}: did not stop when it was asked to, and was killed")
    if any(service.is_running() for service in services):
        write_env(services, common, env_file)
    else:
        env_file.unlink(missing_ok=True)  # it would name services that are gone
    print(table(services))
    if complaints:
        raise ServiceError("\n".join(complaints))


def status(services: Sequence[Service]) -> None:
    """Show the services.

    Raises:
        ServiceError: one died or does not answer, with the last lines of its log; or none is running.
    """
    states = {service.name: service.state() for service in services}
    print(table(services))
    away = [service for service in services if states[service.name] in ("died", "no answer")]
    if away:
        ends = [f"{service.name}: {states[service.name]}; the end of {_log(service)}:" for service in away]
        tails = [f"{line}\n{service.telling().tail()}" for line, service in zip(ends, away, strict=True)]
        raise ServiceError("\n".join(tails))
    if "running" not in states.values():
        raise ServiceError("status: nothing is running (make up)")


def table(services: Sequence[Service]) -> str:
    """Service, address, state, memory with all its children, and log file, one line each."""
    rows = [("service", "address", "state", "memory", "log")]
    for service in services:
        used = service.memory()
        memory = f"{used / 2**20:.0f} MiB" if used else "-"
        rows.append((service.name, service.address(), service.state(), memory, _log(service)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def write_env(services: Sequence[Service], common: Exports, path: Path) -> None:
    """Write lines that lead other shells to the services that run, and to no other; sourced twice, they say it once."""
    lines = [f"# Written by `make up`: `. {_sourced(path)}` in a shell of your own."]
    exports = dict(common())
    for service in services:
        if service.is_running():
            exports |= service.exports()
    lines += [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]
    lines += [f"unset {name}" for name in STALE if name not in exports]
    lines += NO_PROXY_LINES
    for folder in (str(Path(sys.executable).parent), str(path.parent / "bin")):
        tools = shlex.quote(folder)
        lines.append(f'case ":$PATH:" in *:{tools}:*) ;; *) export PATH={tools}:"$PATH" ;; esac')
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(path)


def _sourced(env_file: Path) -> str:
    """The file as a shell in the checkout names it; one outside by its whole path."""
    return shlex.quote(str(env_file.relative_to(ROOT) if env_file.is_relative_to(ROOT) else env_file))


def _log(service: Service) -> str:
    return os.path.relpath(service.telling().log_file, ROOT)
