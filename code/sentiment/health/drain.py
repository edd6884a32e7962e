"""Asking streams to complete their batch and end, and waiting until they have."""

import time
from collections.abc import Callable, Iterator, Sequence

from sentiment import objects
from sentiment.health import streams
from sentiment.health.figures import span
from sentiment.health.streams import Lease, Stream
from sentiment.jobs import DataError
from sentiment.serving import layout

LOOK_SECONDS = 1.0


class DriverGoneError(DataError):
    """The driver does not live, so that nobody answers the request (exit 4, as the report has it)."""

    exit_code = 4


def drain(asked: Sequence[Stream], wait_seconds: int, lease_seconds: int, say: Callable[[str], None]) -> None:
    """Put a request into every stream's checkpoint and wait, for all at once, until the drivers' leases are released.

    A driver that starts meanwhile takes the request for an old one and removes it: then it is made again.

    Args:
        asked: the streams.
        wait_seconds: how long to wait; 0: not at all.
        lease_seconds: a lease that was not renewed for so long is that of a driver that is gone.
        say: told what is going on, with the stream's name where there are several.

    Raises:
        DriverGoneError: no driver lives, or one died before it had ended.
        DataError: there is no stream, or one has not ended in time. Each error waits until the others have ended; what
            is raised tells of all, and has the highest exit code of them.
    """
    courses = [
        _course(f"{each.name}: drain" if len(asked) > 1 else "drain", each.checkpoint, wait_seconds, lease_seconds, say)
        for each in asked
    ]
    failed: list[DataError] = []
    while courses := [course for course in courses if _goes_on(course, failed)]:
        time.sleep(LOOK_SECONDS)
    if failed:
        raise type(max(failed, key=lambda error: error.exit_code))("; ".join(map(str, failed)))


def _goes_on(course: Iterator[None], failed: list[DataError]) -> bool:
    """Take a stream's next step; False: it was the last one."""
    try:
        return next(course, "ended") is None
    except DataError as error:
        failed.append(error)
        return False


def _course(
    what: str, checkpoint: str, wait_seconds: int, lease_seconds: int, say: Callable[[str], None]
) -> Iterator[None]:
    """Ask one stream, and look after it with every step."""
    if not streams.is_stream(checkpoint):
        raise DataError(f"--checkpoint {checkpoint}: want the checkpoint of a stream, found none")
    lease = _living(checkpoint, lease_seconds)
    if lease is None:
        say(f"{what}: the stream has ended already")
        return
    _ask(checkpoint)
    say(f"{what}: asked; the stream ends when its batch is complete")
    began = time.monotonic()
    while time.monotonic() - began < wait_seconds:
        yield
        found = _living(checkpoint, lease_seconds)
        if found is None:
            say(f"{what}: the stream has ended after {span(time.monotonic() - began)}")
            return
        if found.epoch != lease.epoch or not streams.drain_pending(checkpoint):
            lease = found
            _ask(checkpoint)
    if wait_seconds:
        raise DataError(
            f"--checkpoint {checkpoint}: want the stream ended within {wait_seconds} s, "
            f"found its driver (epoch {lease.epoch}) still at work; it ends when its batch is complete"
        )


def _ask(checkpoint: str) -> None:
    objects.create(f"{checkpoint}/{layout.DRAIN}", "{}\n")


def _living(checkpoint: str, lease_seconds: int) -> Lease | None:
    """The lease of the driver that lives; None: the newest driver has ended as it should."""
    lease = streams.lease(checkpoint)
    if lease is None:
        raise DriverGoneError(f"--checkpoint {checkpoint}: want a driver to ask, found that none ever came as far")
    if lease.state == layout.RELEASED:
        return None
    age = time.time() - lease.renewed
    if age > lease_seconds:
        raise DriverGoneError(
            f"--checkpoint {checkpoint}: want a driver that lives, found its lease renewed {span(age)} ago; "
            "the next start completes its batch"
        )
    return lease
