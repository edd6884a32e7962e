"""What a stream has left in its checkpoint: lease, manifests, intents, requests."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from sentiment import objects
from sentiment.jobs import DataError, one_line
from sentiment.objects import Entry
from sentiment.serving import layout

READERS = 8
MOST_BATCHES = 5_000
"""How many manifests are read at most; older ones are counted only."""


@dataclass(frozen=True)
class Stream:
    """Where a stream is; `output` empty: where its checkpoint says; `audit` empty: none was made, or `audit_failed`."""

    name: str
    checkpoint: str
    output: str = ""
    audit: str = ""
    audit_failed: bool = False


@dataclass(frozen=True)
class Lease:
    """The newest driver's lease.

    Attributes:
        epoch: which driver of the checkpoint it is, from 1.
        state: one of layout.WAITING, OWNED, RELEASED.
        renewed: seconds since 1970, by the store's clock.
    """

    epoch: int
    state: str
    renewed: float


@dataclass(frozen=True)
class Batch:
    """A complete batch; `completed` in seconds since 1970, `files` as the manifest names them."""

    number: int
    completed: float
    query: str
    model: str
    version: str
    rows_in: int
    rows_out: int
    dead_letters: int
    seconds: float
    lag_seconds: float
    positive_share: float
    files: list[str]


@dataclass(frozen=True)
class Seen:
    """What a checkpoint held at one moment.

    Attributes:
        now: that moment, in seconds since 1970.
        output: folder of the predictions.
        lease: None: no driver has ever come as far.
        drain_pending: whether a request to end lies there.
        batches: complete ones of the time asked for, oldest first; the newest of all if none is as young.
        complete: how many there are in all.
        cut: whether more than MOST_BATCHES are of that time, and the older ones were left out.
        in_work: number and moment of planning of the newest batch, where it is not complete.
        lost: the first batch without manifest that has a successor with one.
    """

    stream: Stream
    now: float
    output: str
    lease: Lease | None
    drain_pending: bool
    batches: list[Batch]
    complete: int
    cut: bool
    in_work: tuple[int, float] | None
    lost: int | None


def look(stream: Stream, window_seconds: float, now: float) -> Seen | None:
    """Read what a stream has left; None: none has ever run on its checkpoint.

    Raises:
        DataError: the store cannot be read, or what is there was not written by the serving job.
    """
    known = settings(stream.checkpoint)
    if known is None:
        return None
    manifests = _numbered(f"{stream.checkpoint}/{layout.MANIFESTS}")
    young = [number for number, entry in manifests.items() if now - entry.modified <= window_seconds]
    wanted = sorted(young) or sorted(manifests)[-1:]
    return Seen(
        stream=stream,
        now=now,
        output=(stream.output or str(known.get("--output-path", ""))).rstrip("/"),
        lease=lease(stream.checkpoint),
        drain_pending=drain_pending(stream.checkpoint),
        batches=_batches(stream.checkpoint, [(n, manifests[n].modified) for n in wanted[-MOST_BATCHES:]]),
        complete=len(manifests),
        cut=len(wanted) > MOST_BATCHES,
        in_work=_in_work(stream.checkpoint, manifests),
        lost=next((n for n in range(max(manifests, default=-1)) if n not in manifests), None),
    )


def lease(checkpoint: str) -> Lease | None:
    """The newest driver's lease; None: there never was a driver."""
    folder = f"{checkpoint}/{layout.EPOCHS}"
    epochs = _numbered(folder)
    if not epochs:
        return None
    newest = max(epochs)
    content = _json(f"{folder}/{epochs[newest].name}") or {}
    return Lease(newest, str(content.get("state", "")), epochs[newest].modified)


def drain_pending(checkpoint: str) -> bool:
    """Whether a request to end lies in the checkpoint; the next driver removes it."""
    return objects.read(f"{checkpoint}/{layout.DRAIN}") is not None


def is_stream(checkpoint: str) -> bool:
    """Whether the serving job has ever run on this checkpoint."""
    return settings(checkpoint) is not None


def settings(checkpoint: str) -> dict[str, Any] | None:
    """What the stream was started with, by flag; None: none has ever run there; DataError: it is no JSON object."""
    found = _json(f"{checkpoint}/{layout.SETTINGS}")
    if found is None:
        objects.names(checkpoint)  # which raises where there is not even a bucket: that is no stream's fault
    return found


def _in_work(checkpoint: str, manifests: Iterable[int]) -> tuple[int, float] | None:
    newest = max(_numbered(f"{checkpoint}/{layout.INTENTS}"), default=-1)
    if newest < 0 or newest in manifests:
        return None
    location = f"{checkpoint}/{layout.INTENTS}/{newest}.json"
    intent = _json(location)
    if not intent or "created_ms" not in intent:
        return None
    try:
        return newest, float(intent["created_ms"]) / 1000
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{location}: want created_ms in milliseconds since 1970, found {one_line(error)}") from None


def _batches(checkpoint: str, wanted: list[tuple[int, float]]) -> list[Batch]:
    def read(one: tuple[int, float]) -> Batch | None:
        number, completed = one
        location = f"{checkpoint}/{layout.MANIFESTS}/{number}.json"
        manifest = _json(location)
        return _batch(location, number, completed, manifest) if manifest is not None else None

    with ThreadPoolExecutor(READERS) as pool:
        return [batch for batch in pool.map(read, wanted) if batch is not None]


def _batch(location: str, number: int, completed: float, manifest: dict[str, Any]) -> Batch:
    try:
        return Batch(
            number=number,
            completed=completed,
            query=str(manifest["query_id"]),
            model=str(manifest["model_name"]),
            version=str(manifest["model_version"]),
            rows_in=int(manifest["rows_in"]),
            rows_out=int(manifest["rows_out"]),
            dead_letters=int(manifest["dead_letters"]),
            seconds=float(manifest["seconds"]["total"]),
            lag_seconds=float(manifest["lag_seconds"]),
            positive_share=float(manifest["positive_share"]),
            files=[str(each) for each in manifest["files"]],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{location}: want a manifest of the serving job, found {type(error).__name__} {error}"
        ) from None


def _numbered(folder: str) -> dict[int, Entry]:
    """The objects N.json of a folder by N."""
    return {int(each.name[:-5]): each for each in objects.entries(folder) if each.name[:-5].isdecimal()}


def _json(location: str) -> dict[str, Any] | None:
    text = objects.read(location)
    return None if text is None else objects.json_object(text, location)
