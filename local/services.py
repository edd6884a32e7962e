"""What every local service shares: where it lies, its port, locks, commands that are watched, errors of one line."""

import fcntl
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCAL = Path(os.environ.get("SENTIMENT_LOCAL") or ROOT / ".local").absolute()
"""Where services and their data are; another folder and other ports make a second set of them."""


class ServiceError(Exception):
    """Something a user can mend; the message is the line to show."""

    exit_code = 1


class SettingError(ServiceError):
    """An argument or a setting that does not fit."""

    exit_code = 2


def run_main(main: Callable[[], object]) -> None:
    """Run a command of local/; a ServiceError becomes its line on stderr and its exit code."""
    try:
        main()
    except ServiceError as error:
        print(error, file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def java() -> str:
    """The java that local/setup.sh takes too: that of JAVA_HOME, else the first on PATH."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None)
    if found is None:
        raise ServiceError(f"java: want Java 17, found none {f'under JAVA_HOME={home}' if home else 'on PATH'}")
    return found


@contextmanager
def locked(path: Path, complaint: str = "") -> Iterator[None]:
    """Hold a lock file below LOCAL: of two commands at once the second waits, or, given a complaint, ends with it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = path.open("w")
    except OSError as error:
        line = f"SENTIMENT_LOCAL: want a folder that can be written to, found {path.parent}: {error.strerror}"
        raise SettingError(line) from None
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if complaint else 0))
        except BlockingIOError:
            raise ServiceError(complaint) from None
        yield


def free_port() -> int:
    """A port that nobody listens on just now, out of a range from which no system takes ports for its own ends.

    A client that tries again and again to reach a port of that other kind can end up connected to itself.
    """
    while True:
        port = random.randrange(20_000, 30_000)  # noqa: S311  no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def require_free(port: int, service: str, setting: str) -> None:
    """ServiceError unless `port` can be listened on; the line names the service and the setting that moves it.

    SettingError: it is no port at all.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: closed connections are no user
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServiceError(
                f"{service}: want port {port} on 127.0.0.1, but another program has it ({error.strerror}); "
                f"stop that one, or set {setting} to a free port"
            ) from None
        except OverflowError:
            raise SettingError(f"{service}: want {setting} to be a port from 1 to 65535, found {port}") from None


def port_setting(setting: str, default: int) -> int:
    """The port that the environment variable `setting` gives; SettingError if it is none."""
    text = os.environ.get(setting) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SettingError(f"{setting}: want a port number from 1 to 65535, got {text!r}")
    return int(text)


def open_local(url: str, seconds: float = 5) -> Any:
    """The answer of a server on this machine, which is behind no proxy, as urllib gives it."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=seconds)


def run_watched(
    command: Sequence[str], log: Path, doing: str, limit: float, cwd: Path, env: Mapping[str, str] | None = None
) -> int:
    """Run a command to its end with its output in `log`, and say on stderr every 15 s what is being done.

    Returns:
        Its exit code; negative when it took longer than `limit` seconds and was killed.
    """
    began = time.monotonic()
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as process,
    ):
        while True:
            try:
                return process.wait(15)
            except subprocess.TimeoutExpired:
                seconds = time.monotonic() - began
                print(f"{doing}, {seconds:.0f} s", file=sys.stderr, flush=True)
                if seconds > limit:
                    process.kill()
            except BaseException:
                process.kill()
                raise
