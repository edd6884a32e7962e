"""What was live from when to when: read from the ledger, without changing anything."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from sentiment.jobs import DataError
from sentiment.live import entries
from sentiment.live.entries import FOUND, Entry, named
from sentiment.live.ledger import Ledger
from sentiment.live.records import GONE

METRICS = ["accuracy", "roc_auc", "log_loss"]


@dataclass(frozen=True)
class Span:
    """One entry of the ledger as a stretch of time.

    Attributes:
        entry: that began it.
        begin: when it was claimed.
        end: when the next entry was; None: it is the newest.
        outcome: moved, reverted (the version was gone) or None (in progress).
        done: when the aliases had been moved; None: in progress.
        metrics: accuracy, roc_auc, log_loss of the version's run, those that it has.
    """

    entry: Entry
    begin: datetime
    end: datetime | None
    outcome: str | None
    done: datetime | None
    metrics: dict[str, float] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """As JSON gives it."""
        entry = self.entry
        return {
            "version": entry.to_version,
            "from": iso(self.begin),
            "until": iso(self.end) if self.end else None,
            "entry": entry.number,
            "action": entry.action,
            "by": entry.by,
            "reason": entry.reason,
            "state": state(self),
            "metrics": self.metrics,
            "evidence": entry.evidence,
        }


@dataclass(frozen=True)
class Possible:
    """A version that a stream may have been following between two moments; None: without bound."""

    version: str
    begin: datetime | None
    end: datetime | None


@dataclass(frozen=True)
class History:
    """All spans of one model, the oldest first, and what the registry says now."""

    model: str
    ledger: str
    spans: list[Span]
    live: str | None

    @property
    def disagreement(self) -> str:
        """One line if the registry says something else than the ledger, and nobody is just moving it."""
        if not self.spans:
            return "" if self.live is None else f"{named(self.live)} is live, and the ledger has no entry yet"
        last = self.spans[-1]
        if last.outcome != "moved" or last.entry.to_version == self.live:
            return ""
        return (
            f"alias champion was moved outside the ledger: {named(self.live)} is live, "
            f"entry {last.entry.number} says {named(last.entry.to_version)}"
        )

    def at(self, moment: datetime) -> Span:
        """The span that holds a moment; a span begins with its first microsecond and ends before the next one's."""
        if not self.spans:
            raise DataError(f"--ledger {self.ledger}: want entries, found none")
        if moment < self.spans[0].begin:
            raise DataError(
                f"--at {iso(moment)}: want a moment since the first entry of {self.model}, {iso(self.spans[0].begin)}"
            )
        return next(span for span in reversed(self.spans) if span.begin <= moment)

    def holder(self, span: Span) -> Span | None:
        """The span whose version was live in a span: an earlier one, where that of its own was claimed and gone.

        None: nothing had been live.
        """
        until = reversed(self.spans[: span.entry.number])
        return next((each for each in until if each.outcome != GONE), None)

    def possible(self) -> list[Possible]:
        """Which versions streams may have followed when, at most.

        A version may be followed from its claim until the next entry's aliases had been moved. One that was moved by
        hand may have been live since the entry before it was found; before the first entry, nobody knows since when.
        """
        return list(self._possible())

    def _possible(self) -> Iterator[Possible]:
        for place, span in enumerate(self.spans):
            former = self.spans[place - 1] if place else None
            after = self.spans[place + 1] if place + 1 < len(self.spans) else None
            end = after.done if after else None
            entry = span.entry
            if entry.to_version is not None:
                by_hand = entry.action == FOUND
                begin = (former.begin if former else None) if by_hand else span.begin
                yield Possible(entry.to_version, begin, end)
            if entry.from_version is not None and span.outcome == GONE:
                yield Possible(entry.from_version, span.begin, end)


def read(client: MlflowClient, ledger: Ledger, with_metrics: bool = True) -> History:
    """The history of a ledger's model; DataError where ledger or registry cannot be read."""
    while True:
        known, live = ledger.entries(), ledger.live()
        if ledger.records.last_number() == len(known):  # else somebody moved it meanwhile
            break
    metrics = _metrics(client, ledger.model, {entry.to_version for entry in known}) if with_metrics else {}
    spans = []
    for place, entry in enumerate(known):
        after = known[place + 1] if place + 1 < len(known) else None
        done = ledger.records.closed(entry.number)
        spans.append(
            Span(
                entry,
                entries.moment(entry.time),
                entries.moment(after.time) if after else None,
                ledger.records.outcome(entry.number),
                entries.moment(done) if done else None,
                metrics.get(entry.to_version, {}),
            )
        )
    return History(ledger.model, ledger.records.folder, spans, live)


def state(span: Span) -> str:
    """What is to be said of a span beside its action."""
    if span.outcome is None:
        return "in progress"
    return "version was gone" if span.outcome == GONE else "done"


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def short(moment: datetime | None, otherwise: str = "") -> str:
    """A moment for people: UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if moment else otherwise


def gate_line(evidence: dict[str, Any]) -> str:
    """What the promotion gate found, in one line; empty where it was not asked."""
    parts = []
    difference = evidence.get("difference") or {}
    if {"accuracy", "low", "high"} <= difference.keys():
        parts.append(f"accuracy {difference['accuracy']:+.4f} ({difference['low']:+.4f} to {difference['high']:+.4f})")
    rules = evidence.get("rules") or {}
    if rules:
        verdicts = [rule.get("verdict") for rule in rules.values()]
        left_out = verdicts.count("left out")
        told = f"{verdicts.count('passed')} of {len(verdicts) - left_out} rules passed"
        parts.append(f"{told}, {left_out} left out" if left_out else told)
    if evidence.get("overruled"):
        parts.append(f"overruled: {', '.join(evidence['overruled'])}")
    return "; ".join(parts)


def _metrics(client: MlflowClient, model: str, versions: set[str | None]) -> dict[str | None, dict[str, float]]:
    """Figures by version; a version or a run that is gone has none."""
    found: dict[str | None, dict[str, float]] = {}
    for version in versions - {None}:
        try:
            run_id = client.get_model_version(model, str(version)).run_id
            logged = client.get_run(run_id).data.metrics if run_id else {}
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise DataError(f"--mlflow-uri: the registry does not answer: {error.error_code}") from error
            continue
        found[version] = {name: float(logged[name]) for name in METRICS if name in logged}
    return found
