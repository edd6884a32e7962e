"""Healthy, degraded or down, by stated rules; every reason names its figure and the limit."""

from collections.abc import Iterator
from dataclasses import dataclass

from sentiment.health.figures import Figures, span
from sentiment.health.output import Output
from sentiment.health.streams import Seen
from sentiment.serving import layout

HEALTHY, DEGRADED, DOWN, UNREADABLE = "healthy", "degraded", "down", "unreadable"
EXIT_CODES = {HEALTHY: 0, DEGRADED: 3, DOWN: 4, UNREADABLE: 1}
"""The worst last: of what cannot be read nobody knows how it is."""


@dataclass(frozen=True)
class Limits:
    """What a healthy stream stays within.

    Attributes:
        lease_seconds: since its driver last renewed the lease, which it does every 5 s.
        idle_seconds: since its newest batch was complete.
        batch_seconds: for a batch: the 95th percentile, and the one in work.
        lag_seconds: age of the oldest message of a batch when it is scored.
        dead_letter_share: of the messages taken in.
    """

    lease_seconds: int = 60
    idle_seconds: int = 3600
    batch_seconds: int = layout.SLOW_SECONDS
    lag_seconds: int = 300
    dead_letter_share: float = 0.05


@dataclass(frozen=True)
class Verdict:
    """healthy, degraded, down or unreadable, and why; no reasons: healthy."""

    state: str
    reasons: list[str]

    def __str__(self) -> str:
        return f"{self.state} ({'; '.join(self.reasons)})" if self.reasons else self.state


NEVER_RAN = Verdict(DOWN, ["no stream has ever run on its checkpoint"])


def judge(
    seen: Seen, figures: Figures, output: Output, gaps: list[str], limits: Limits, *, audit_failed: bool = False
) -> Verdict:
    """The verdict on one stream.

    Args:
        seen: what its checkpoint held.
        figures: what that comes to.
        output: what its output held.
        gaps: what an audit has found, the worst first.
        limits: what it has to stay within.
        audit_failed: whether an audit was asked for and found nothing out.
    """
    down = list(_down(seen, figures, output, limits))
    degraded = [*_slow(figures, limits), *_wrong(seen, figures, output, gaps, limits)]
    if audit_failed:
        degraded.append("the audit failed: whether every message is there once is not known")
    if down:
        return Verdict(DOWN, down + degraded)
    return Verdict(DEGRADED if degraded else HEALTHY, degraded)


def worst(verdicts: list[Verdict]) -> str:
    """The state of all streams together."""
    return max((verdict.state for verdict in verdicts), key=list(EXIT_CODES).index, default=HEALTHY)


def _down(seen: Seen, figures: Figures, output: Output, limits: Limits) -> Iterator[str]:
    if seen.lease is None:
        yield "no driver has ever taken the checkpoint"
    elif seen.lease.state == layout.RELEASED:
        asked = " as it was asked to (drain)" if seen.drain_pending else ""
        yield f"its driver has ended{asked}, {span(figures.lease_seconds)} ago"
    elif (figures.lease_seconds or 0) > limits.lease_seconds:
        yield (
            f"its driver is gone: the lease was renewed {span(figures.lease_seconds)} ago, "
            f"want at most {limits.lease_seconds} s"
        )
    if not output.files and any(batch.rows_out for batch in seen.batches):
        yield f"its batches have predictions, {seen.output} has no Parquet file"


def _slow(figures: Figures, limits: Limits) -> Iterator[str]:
    p95, in_work, idle, lag = (
        figures.batch_seconds_p95,
        figures.in_work_seconds,
        figures.idle_seconds,
        figures.lag_seconds,
    )
    if p95 is not None and p95 > limits.batch_seconds:
        yield f"batches take {p95:.0f} s (95th percentile), want at most {limits.batch_seconds} s"
    if in_work is not None and in_work > limits.batch_seconds:
        yield f"a batch was planned {span(in_work)} ago and is not complete, want at most {limits.batch_seconds} s"
    if idle is not None and idle > limits.idle_seconds:
        yield f"the newest batch is {span(idle)} old, want at most {limits.idle_seconds} s"
    # Who is behind has one batch after the other; who rests has caught up, whatever the lag of the last one was.
    busy = in_work is not None or (idle is not None and idle <= limits.batch_seconds)
    if lag is not None and lag > limits.lag_seconds and busy:
        yield f"it is {lag:.0f} s behind its input (lag), want at most {limits.lag_seconds} s"


def _wrong(seen: Seen, figures: Figures, output: Output, gaps: list[str], limits: Limits) -> Iterator[str]:
    alive = seen.lease is not None and seen.lease.state != layout.RELEASED
    if seen.drain_pending and alive:
        yield "it was asked to end (drain)"
    if not seen.complete:
        yield "no batch is complete yet"
    if seen.lost is not None:
        yield f"batch {seen.lost} has no manifest, later ones have"
    dead = figures.dead_letter_share
    if dead is not None and dead > limits.dead_letter_share:
        yield f"{dead:.1%} of the messages are dead letters, want at most {limits.dead_letter_share:.1%}"
    if output.faults and output.files:
        more = f" ({len(output.faults)} such faults)" if len(output.faults) > 1 else ""
        yield output.faults[0] + more
    if gaps:
        yield f"the audit has found {len(gaps)} gap{'s' * (len(gaps) > 1)}, the first: {gaps[0]}"
