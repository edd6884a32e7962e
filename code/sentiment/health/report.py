"""One report on several streams: looked at one after the other, judged, told in one table."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from sentiment import objects
from sentiment.health import figures as counting
from sentiment.health import output as outputs
from sentiment.health import streams as reading
from sentiment.health.figures import Figures, span
from sentiment.health.output import Output
from sentiment.health.streams import Seen, Stream
from sentiment.health.verdict import NEVER_RAN, UNREADABLE, Limits, Verdict, judge
from sentiment.jobs import DataError
from sentiment.progress import log

HEAD = ["stream", "verdict", "rows/s", "p50", "p95", "lag", "dead", "positive", "last hour", "newest", "model"]
HEAD_HELP = (
    "rows/s: messages per second of work; p50, p95: time of a batch; lag: age of the newest batch's oldest message "
    "when it was scored; dead: share of dead letters; last hour: predictions; newest: the newest batch"
)


@dataclass(frozen=True)
class Told:
    """What is told of one stream; without `seen` no stream ever ran there, or what it left cannot be read."""

    stream: Stream
    verdict: Verdict
    seen: Seen | None = None
    figures: Figures | None = None
    output: Output | None = None
    gaps: list[str] | None = None


def tell_all(streams: list[Stream], limits: Limits, window_seconds: float, check_files: int, now: float) -> list[Told]:
    """Look at streams one after the other, as `tell` does; one that cannot be read hides no other."""

    def told(stream: Stream) -> Told:
        try:
            return tell(stream, limits, window_seconds, check_files, now)
        except DataError as error:
            return Told(stream, Verdict(UNREADABLE, [str(error)]))

    return [told(stream) for stream in streams]


def tell(stream: Stream, limits: Limits, window_seconds: float, check_files: int, now: float) -> Told:
    """Look at one stream and judge it.

    Args:
        stream: where it is.
        limits: what it has to stay within.
        window_seconds: how far back its batches are read.
        check_files: of how many files the footer is read.
        now: seconds since 1970.

    Raises:
        DataError: what it left, or its audit, cannot be read.
    """
    log.info("%s: reading %s", stream.name, stream.checkpoint)
    gaps = _audited(stream)
    seen = reading.look(stream, window_seconds, now)
    if seen is None:
        return Told(stream, NEVER_RAN)
    folder = objects.folder_or_none(seen.output)
    if folder is None:
        wanted = "want predictions in a local folder or on gs://, found --output-path"
        raise DataError(f"{stream.checkpoint}: {wanted} {seen.output or 'nowhere'}")
    log.info("%s: %d batches, reading %s", stream.name, len(seen.batches), folder)
    output = outputs.look(folder, seen.batches, check_files)
    found = counting.figures(seen, output)
    state = judge(seen, found, output, gaps or [], limits, audit_failed=stream.audit_failed)
    return Told(stream, state, seen, found, output, gaps)


def row(told: Told) -> list[str]:
    """A stream's line of the table, under HEAD."""
    figures = told.figures
    if figures is None:
        return [told.stream.name, told.verdict.state, *[""] * (len(HEAD) - 2)]
    return [
        told.stream.name,
        told.verdict.state,
        "" if figures.rows_per_second is None else f"{figures.rows_per_second:,.0f}",
        span(figures.batch_seconds_p50),
        span(figures.batch_seconds_p95),
        span(figures.lag_seconds),
        _share(figures.dead_letter_share),
        _share(figures.positive_share),
        f"{figures.rows_last_hour:,}",
        f"{span(figures.idle_seconds)} ago" if figures.idle_seconds is not None else "none",
        ", ".join(figures.models),
    ]


def text(tellings: list[Told]) -> str:
    """The table for a terminal, and below it the reasons of what is not healthy."""
    lines = [HEAD, *[row(told) for told in tellings]]
    widths = [max(len(line[place]) for line in lines) for place in range(len(HEAD))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    reasons = [f"{told.stream.name}: {told.verdict}" for told in tellings if told.verdict.reasons]
    return "\n".join([*table, *([""] if reasons else []), *reasons])


def details(told: Told) -> list[tuple[str, str]]:
    """Everything that is known of a stream, with names for people."""
    seen, figures, output = told.seen, told.figures, told.output
    places = [("checkpoint", told.stream.checkpoint)]
    if seen is None or figures is None or output is None:
        return places
    lease = "none"
    if seen.lease:
        lease = f"{seen.lease.state}, renewed {span(figures.lease_seconds)} ago (driver {seen.lease.epoch})"
    newest = f"{output.newest_rows:,} rows"
    if output.positive_share is not None:
        age = figures.newest_message_seconds
        message = f"{span(age)} old" if age is not None else "outside years 1 to 9999"
        newest += f", {_share(output.positive_share)} positive, newest message {message}"
    return [
        *places,
        ("output", seen.output),
        ("lease", lease),
        ("drain asked for", "yes" if seen.drain_pending else "no"),
        ("complete batches", f"{seen.complete:,}, {figures.batches_last_hour:,} of them in the last hour"),
        (
            "batch in work",
            f"{seen.in_work[0]}, planned {span(figures.in_work_seconds)} ago" if seen.in_work else "none",
        ),
        ("Parquet files", f"{output.files:,}, newest date {output.newest_date or 'none'}"),
        ("footers read", f"{output.checked:,}, {len(output.faults)} faults"),
        ("newest file", newest if output.files else "none"),
        ("audit", "failed" if told.stream.audit_failed else _audit_line(told.gaps)),
    ]


def as_json(tellings: list[Told], limits: Limits, state: str, made: str) -> str:
    """The whole report, for programs."""
    content = {
        "made": made,
        "verdict": state,
        "limits": asdict(limits),
        "streams": [_content(told) for told in tellings],
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _content(told: Told) -> dict[str, Any]:
    content: dict[str, Any] = {
        "name": told.stream.name,
        "checkpoint": told.stream.checkpoint,
        "verdict": told.verdict.state,
        "reasons": told.verdict.reasons,
        "audit_gaps": told.gaps,
    }
    if told.seen is None or told.figures is None or told.output is None:
        return content | {"output": None, "lease": None, "figures": None, "files": None}
    files = asdict(told.output)
    files["newest_message"] = told.output.newest_message.isoformat() if told.output.newest_message else None
    return content | {
        "output": told.seen.output,
        "lease": asdict(told.seen.lease) if told.seen.lease else None,
        "drain_pending": told.seen.drain_pending,
        "figures": asdict(told.figures),
        "files": files,
    }


def _audited(stream: Stream) -> list[str] | None:
    """The gaps that an audit of this stream has found; None: there was no audit."""
    if not stream.audit:
        return None
    text = objects.read(stream.audit)
    if text is None:
        raise DataError(f"--audit {stream.audit}: want what audit_predictions.py --report has written, found nothing")
    try:
        found = json.loads(text)
        of, gaps = str(found["checkpoint"]), [str(gap) for gap in found["gaps"]]
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"--audit {stream.audit}: want what audit_predictions.py --report has written, found something else"
        ) from None
    if objects.folder_or_none(of) != stream.checkpoint:
        raise DataError(f"--audit {stream.audit}: want the audit of {stream.checkpoint}, found that of {of}")
    return gaps


def _audit_line(gaps: list[str] | None) -> str:
    if gaps is None:
        return "not made"
    return f"{len(gaps)} gaps, the first: {gaps[0]}" if gaps else "every message once"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
