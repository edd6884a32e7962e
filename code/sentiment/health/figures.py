"""The figures of a stream: of its last hour where it had batches then, else of its newest batch."""

import math
from dataclasses import dataclass

from sentiment.health.output import Output
from sentiment.health.streams import Batch, Seen

HOUR = 3600.0


@dataclass(frozen=True)
class Figures:
    """How a stream is doing; seconds where a field is named so, None where nothing was there to count.

    Attributes:
        rows_per_second: messages per second of work on batches.
        lag_seconds: age of the newest batch's oldest message when it was scored.
        dead_letter_share: of the messages taken in.
        models: name and version of every model that scored, in the order of their first batch.
        idle_seconds: since the newest batch was complete.
        in_work_seconds: since the batch in work was planned.
        rows_last_hour: predictions written in the last hour.
        newest_message_seconds: age of the newest message in the newest file; None: there is none, or it has no date.
    """

    batches: int
    batches_last_hour: int
    rows_per_second: float | None
    batch_seconds_p50: float | None
    batch_seconds_p95: float | None
    lag_seconds: float | None
    dead_letter_share: float | None
    models: list[str]
    positive_share: float | None
    idle_seconds: float | None
    in_work_seconds: float | None
    lease_seconds: float | None
    rows_last_hour: int
    newest_message_seconds: float | None


def figures(seen: Seen, output: Output) -> Figures:
    """What a stream's last hour comes to."""
    last_hour = [batch for batch in seen.batches if seen.now - batch.completed <= HOUR]
    recent = last_hour or seen.batches[-1:]
    rows_in, rows_out = sum(batch.rows_in for batch in recent), sum(batch.rows_out for batch in recent)
    worked = sum(batch.seconds for batch in recent)
    newest = output.newest_message
    return Figures(
        batches=seen.complete,
        batches_last_hour=len(last_hour),
        rows_per_second=rows_in / worked if worked else None,
        batch_seconds_p50=percentile([batch.seconds for batch in recent], 0.5),
        batch_seconds_p95=percentile([batch.seconds for batch in recent], 0.95),
        lag_seconds=recent[-1].lag_seconds if recent else None,
        dead_letter_share=sum(batch.dead_letters for batch in recent) / rows_in if rows_in else None,
        models=list(dict.fromkeys(named(batch) for batch in recent)),
        positive_share=sum(each.positive_share * each.rows_out for each in recent) / rows_out if rows_out else None,
        idle_seconds=max(0.0, seen.now - recent[-1].completed) if recent else None,
        in_work_seconds=max(0.0, seen.now - seen.in_work[1]) if seen.in_work else None,
        lease_seconds=max(0.0, seen.now - seen.lease.renewed) if seen.lease else None,
        rows_last_hour=sum(batch.rows_out for batch in last_hour),
        newest_message_seconds=max(0.0, seen.now - newest.timestamp()) if newest else None,
    )


def named(batch: Batch) -> str:
    """The batch's model with its version."""
    return f"{batch.model} {batch.version}"


def percentile(values: list[float], share: float) -> float | None:
    """The smallest value that at least `share` of them do not exceed (nearest rank); None: there are none."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else None


def span(seconds: float | None) -> str:
    """A time in the unit that people would use."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
