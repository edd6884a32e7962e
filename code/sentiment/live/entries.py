"""The ledger's entries: what one holds, how it is written, and which way a rollback goes through them."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sentiment.lines import printable

FIRST, PROMOTED, ROLLED_BACK, FOUND, REVERTED = "first", "promoted", "rolled-back", "found", "reverted"
ACTIONS = (FIRST, PROMOTED, ROLLED_BACK, FOUND, REVERTED)

_KEYS = {"from_version": "from", "to_version": "to"}


@dataclass(frozen=True)
class Entry:
    """One change of what is live.

    Attributes:
        number: from 1, without holes.
        action: first, promoted, rolled-back, found (somebody moved the alias by hand) or reverted (the version was
            gone from the registry before the aliases were moved).
        model: registered model.
        from_version, to_version: live before and after; None: nothing. In JSON `from` and `to`.
        previous: what the alias `previous` names afterwards.
        by: who asked for it.
        reason: why, in a person's words.
        time: of the claim, ISO 8601, UTC, microseconds; later than the entry before.
        evidence: figures and rules.
        owner: whose claim it is: host, pid, started (seconds since 1970), token.
        registered: when the registry made the registered model, in ms since 1970: tells one registry from another.
    """

    number: int
    action: str
    model: str
    from_version: str | None
    to_version: str | None
    previous: str | None
    by: str
    reason: str
    time: str
    evidence: dict[str, Any] = field(default_factory=dict)
    owner: dict[str, Any] = field(default_factory=dict)
    registered: int = 0

    def content(self) -> dict[str, Any]:
        """As it stands in JSON."""
        return {_KEYS.get(name, name): value for name, value in asdict(self).items()}


def to_text(entry: Entry) -> str:
    """An entry as JSON; figures that JSON does not know (NaN, infinity) become null."""
    known = json.loads(json.dumps(entry.content()), parse_constant=lambda _: None)
    return json.dumps(known, indent=2) + "\n"


def from_text(text: str) -> Entry:
    """The entry that `to_text` wrote; ValueError, KeyError, TypeError or OverflowError: it did not.

    What people wrote is read as one line that can be shown: an entry stands for ever, whatever was once let into it.
    """
    content = json.loads(text)
    entry = Entry(**{name: content[_KEYS.get(name, name)] for name in Entry.__dataclass_fields__})
    moment(entry.time)
    texts = entry.model, entry.by, entry.reason
    versions = entry.from_version, entry.to_version, entry.previous
    if not (
        entry.action in ACTIONS
        and all(isinstance(number, int) for number in (entry.number, entry.registered))
        and all(isinstance(text, str) for text in texts)
        and all(version is None or isinstance(version, str) for version in versions)
        and all(isinstance(content, dict) for content in (entry.evidence, entry.owner))
    ):
        raise ValueError("no entry of a ledger")
    return replace(entry, by=printable(entry.by), reason=printable(entry.reason))


def moment(time: str) -> datetime:
    """An entry's time as a moment in UTC."""
    return datetime.fromisoformat(time).astimezone(UTC)


def stamp(after: Entry | None) -> str:
    """Now, and later than the entry before, whatever the clocks of two hosts say."""
    now = datetime.now(UTC)
    if after is not None:
        now = max(now, moment(after.time) + timedelta(microseconds=1))
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def lineage(entries: Iterable[Entry]) -> list[str]:
    """The versions that rollbacks go back through, the live one last.

    A promotion adds to it. Going back to a version leaves out what came after it, so that the next rollback goes
    further back and not forward into the version that was bad. A version that is live again without standing in
    it brings along what it had before itself then.
    """
    line: list[str] = []
    known: dict[str, list[str]] = {}
    for entry in entries:
        target = entry.to_version
        if target is None:
            continue
        if entry.action in (FIRST, PROMOTED):
            line = [*line, target]
        elif target in line:
            line = line[: len(line) - line[::-1].index(target)]
        elif entry.action == FOUND:
            line = [*line, target]
        else:
            line = known.get(target, [target])
        known[target] = line
    return line


def named(version: str | None) -> str:
    """A version for people."""
    return "no version" if version is None else f"version {version}"


def described(entry: Entry) -> str:
    """What an entry does, for people."""
    return f"{entry.action}, {named(entry.from_version)} to {named(entry.to_version)}"
