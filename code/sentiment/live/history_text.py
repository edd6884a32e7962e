"""A model's history for a terminal and for programs."""

import json
from datetime import datetime

from sentiment.live.entries import named
from sentiment.live.history import METRICS, History, Span, gate_line, iso, short, state

_HEADER = ["version", "from (UTC)", "until", "entry", "action", "by", *METRICS]


def table(history: History) -> str:
    """One line per span, the oldest first, and below each what the gate found."""
    rows = [_HEADER] + [_cells(span) for span in history.spans]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEADER))]
    lines = [f"{history.model}: {named(history.live)} is live"]
    for row, span in zip(rows, [None, *history.spans], strict=True):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(f"{line}  {span.entry.reason if span else 'reason'}".rstrip())
        if span and gate_line(span.entry.evidence):
            lines.append(f"{' ' * widths[0]}  gate: {gate_line(span.entry.evidence)}")
    return "\n".join(lines)


def to_json(history: History) -> str:
    """The whole history; times in ISO 8601."""
    content = {
        "model": history.model,
        "ledger": history.ledger,
        "live": history.live,
        "disagreement": history.disagreement,
        "spans": [span.content() for span in history.spans],
    }
    return json.dumps(content, indent=2)


def answer(history: History, moment: datetime, as_json: bool) -> str:
    """What was live at one moment."""
    span = history.at(moment)
    holder = history.holder(span)
    version = holder.entry.to_version if holder else None
    also = sorted(
        {
            each.version
            for each in history.possible()
            if each.version != version
            and (each.begin is None or each.begin <= moment)
            and (each.end is None or moment < each.end)
        },
        key=lambda version: (len(version), version),
    )
    if as_json:
        content = {
            **{"model": history.model, "at": iso(moment)},
            **{**span.content(), "version": version, "claimed": span.entry.to_version, "possibly": also},
        }
        return json.dumps(content, indent=2)
    entry = span.entry
    since = f", since {short(holder.begin)}" if holder else ""
    told = f"entry {entry.number}: {entry.action} by {entry.by}: {entry.reason}"
    if holder is not span:
        told += f"; {named(entry.to_version)} was claimed then, and was gone from the registry"
    elif span.outcome is None:
        since += " in progress"
    else:
        since += f" until {short(span.end)}" if span.end else " and still is"
    lines = [f"{history.model} at {short(moment)} UTC: {named(version)}{since}", told]
    if also:
        lines.append(f"possibly also version {', '.join(also)}: aliases were on their way, or moved by hand")
    return "\n".join(lines)


def _cells(span: Span) -> list[str]:
    entry = span.entry
    until = short(span.end, "now") if span.outcome else state(span)
    figures = [f"{span.metrics[name]:.4f}" if name in span.metrics else "-" for name in METRICS]
    action = f"{entry.action}, {state(span)}" if span.outcome == "reverted" else entry.action
    return [entry.to_version or "none", short(span.begin), until, str(entry.number), action, entry.by, *figures]
