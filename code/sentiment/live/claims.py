"""Whose claim it is, and whether that process still lives."""

import getpass
import os
import socket
from types import ModuleType
from typing import Any

from sentiment.lines import printable

START_TOLERANCE_SECONDS = 2.0
"""A process's start time is told relative to the clock, which may be set while it runs."""


def actor() -> str:
    """Who is asking, as one line: SENTIMENT_ACTOR, else user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return printable(os.environ.get("SENTIMENT_ACTOR")) or printable(f"{user}@{socket.gethostname()}")


def owner(token: str) -> dict[str, Any]:
    """This process as the owner of claims: host, pid, process start time (seconds since 1970, or null), token."""
    psutil, pid = _psutil(), os.getpid()
    started = psutil.Process(pid).create_time() if psutil else None
    return {"host": socket.gethostname(), "pid": pid, "started": started, "token": token}


def is_gone(claimant: dict[str, Any]) -> bool:
    """Whether an owner's process is known to be dead; of another host, or without psutil, nothing is known."""
    psutil, pid, started = _psutil(), claimant.get("pid"), claimant.get("started")
    if not psutil or claimant.get("host") != socket.gethostname() or pid is None or started is None:
        return False
    try:
        process = psutil.Process(pid)
        ended = process.status() == psutil.STATUS_ZOMBIE
        return bool(ended or abs(process.create_time() - started) > START_TOLERANCE_SECONDS)
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def _psutil() -> ModuleType | None:
    """A cluster's small set of packages may lack it: a dead owner is then waited for like one of another host."""
    try:
        import psutil
    except ImportError:
        return None
    return psutil
