"""The objects of one model's ledger: claims, what became of them, and who took a dead owner's over."""

import json
import re
from typing import Any

from sentiment import objects
from sentiment.jobs import DataError
from sentiment.live import entries
from sentiment.live.entries import Entry

MOVED, GONE = "moved", "reverted"

_ENTRY = re.compile(r"(\d{8})\.json")
_TAKEN = re.compile(r"(\d{8})-(\d+)\.json")


class Records:
    """What stands under `<ledger>/<model>`; nothing in it is ever changed, so what was read once is kept."""

    def __init__(self, location: str, model: str) -> None:
        self.folder = f"{location}/{model}"
        self._entries: dict[int, Entry] = {}
        self._outcomes: dict[int, dict[str, Any]] = {}

    def check_writable(self) -> None:
        """DataError, naming --ledger, unless objects can be created here."""
        objects.check_writable(self.folder, "--ledger")

    def last_number(self) -> int:
        """The newest entry's number, 0 if there is none; DataError on a hole before it."""
        for _ in range(2):  # a listing that runs beside a create may show the later of two entries only
            numbers = _numbers(objects.names(self.folder))
            if numbers == list(range(1, len(numbers) + 1)):
                return len(numbers)
        hole = next(place for place, number in enumerate(numbers, 1) if place != number)
        raise DataError(f"--ledger {self.folder}: want entries without a hole, found none with number {hole}")

    def entries(self) -> list[Entry]:
        """All entries in order."""
        return [self.entry(number) for number in range(1, self.last_number() + 1)]

    def entry(self, number: int) -> Entry:
        """One entry; DataError if it cannot be read."""
        if number not in self._entries:
            location = f"{self.folder}/{number:08d}.json"
            try:
                found = entries.from_text(objects.read(location) or "")
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                raise DataError(f"--ledger {location}: want an entry of the ledger, found something else") from error
            if found.number != number:
                raise DataError(f"--ledger {location}: want entry {number}, found entry {found.number}")
            self._entries[number] = found
        return self._entries[number]

    def claim(self, entry: Entry) -> bool:
        """Write an entry; False: its number is another's already."""
        return objects.create(f"{self.folder}/{entry.number:08d}.json", entries.to_text(entry))

    def outcome(self, number: int) -> str | None:
        """`moved`, `reverted`, or None while the entry is open."""
        found = self._outcome(number)
        return str(found["outcome"]) if found else None

    def closed(self, number: int) -> str | None:
        """When an entry was marked as done, ISO 8601, UTC; None while it is open."""
        found = self._outcome(number)
        return str(found["time"]) if found else None

    def close(self, number: int, outcome: str, owner: dict[str, Any], time: str) -> bool:
        """Mark an entry as done; False: another process has."""
        content = {"number": number, "outcome": outcome, "time": time, "owner": owner}
        return objects.create(f"{self.folder}/done/{number:08d}.json", json.dumps(content) + "\n")

    def holder(self, number: int) -> tuple[dict[str, Any], int]:
        """Whose claim an entry is by now, and how many times it was taken over."""
        times = [
            int(found[2]) for name in objects.names(f"{self.folder}/taken") if (found := _matched(_TAKEN, name, number))
        ]
        if not times:
            return self.entry(number).owner, 0
        location = self._taken(number, max(times))
        return _read_object(location), max(times)

    def take(self, number: int, time: int, owner: dict[str, Any]) -> bool:
        """Become the holder of an open claim, as the `time`th; False: another process has."""
        return objects.create(self._taken(number, time), json.dumps(owner) + "\n")

    def _outcome(self, number: int) -> dict[str, Any] | None:
        if number not in self._outcomes:
            location = f"{self.folder}/done/{number:08d}.json"
            if objects.read(location) is None:
                return None
            found = _read_object(location)
            try:
                entries.moment(found["time"])
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                raise DataError(f"--ledger {location}: want an outcome and its time, found something else") from error
            if found.get("outcome") not in (MOVED, GONE):
                raise DataError(f"--ledger {location}: want outcome moved or reverted, found something else")
            self._outcomes[number] = found
        return self._outcomes[number]

    def _taken(self, number: int, time: int) -> str:
        return f"{self.folder}/taken/{number:08d}-{time}.json"


def _numbers(names: list[str]) -> list[int]:
    return sorted(int(found[1]) for name in names if (found := _ENTRY.fullmatch(name)))


def _matched(pattern: re.Pattern[str], name: str, number: int) -> re.Match[str] | None:
    found = pattern.fullmatch(name)
    return found if found and int(found[1]) == number else None


def _read_object(location: str) -> dict[str, Any]:
    return objects.json_object(objects.read(location) or "", f"--ledger {location}")
