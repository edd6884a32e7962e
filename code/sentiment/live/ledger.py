"""Which version is live, moved one at a time: the ledger of a registered model.

MLflow has no compare-and-set on an alias. Here the next entry's number is the lock: `<ledger>/<model>/00000012.json`
is created exactly once, before the aliases move, and holds where they move to. `done/00000012.json` follows when they
have. What a dead process left open, the next caller completes; to do so it creates `taken/00000012-1.json`, so that
one process at a time moves aliases.

Guaranteed: numbers have no hole; every entry's `from` is the former entry's `to`; two callers never both decide upon
the same state; after a kill at any point the next `settle` ends what was begun. A process that was taken for dead
looks before each of its calls how old its claim is, and behind them whether it was overtaken; then it sets the aliases
to the latest entry.

Left open by the registry: a call that was on its way for longer than PATIENCE_SECONDS can still arrive and set an
older version, until its sender has looked, or for good if its sender dies first. The next `settle` then reports the
alias as moved by hand.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mlflow.tracking import MlflowClient

from sentiment.jobs import DataError
from sentiment.live import claims, entries
from sentiment.live.aliases import Aliases
from sentiment.live.entries import FOUND, REVERTED, ROLLED_BACK, Entry, named
from sentiment.live.moves import HOLD_SECONDS, PATIENCE_SECONDS, Mover
from sentiment.live.records import GONE, Records
from sentiment.pausing import pause
from sentiment.roles import CHAMPION, PREVIOUS


class HandMovedError(DataError):
    """The alias was moved past the ledger."""


class ChampionChangedError(DataError):
    """What is live was moved since a decision was based on it, to another version or there and back."""


class Ledger:
    """The entries of one registered model, and the only way to move what is live.

    Every method raises DataError when the ledger or the registry cannot be read or written.
    """

    def __init__(
        self,
        client: MlflowClient,
        model: str,
        location: str,
        *,
        hold_seconds: float = HOLD_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model, self.clock = model, clock
        self.records = Records(location, model)
        self.aliases = Aliases(client, model)
        self.token = uuid.uuid4().hex
        self.mover = Mover(self.records, self.aliases, self.token, hold_seconds, patience_seconds, clock)

    def entries(self) -> list[Entry]:
        """All entries in order; DataError on a hole in the numbers or one that cannot be read."""
        return self.records.entries()

    def pending(self) -> Entry | None:
        """The entry whose aliases are still being moved, if there is one."""
        number = self.records.last_number()
        return self.records.entry(number) if number and self.records.outcome(number) is None else None

    def check(self) -> None:
        """DataError, naming --ledger, unless entries can be written here and are of this registry's model."""
        self.records.check_writable()
        number = self.records.last_number()
        if number:
            self._check_registry(self.records.entry(number))

    def live(self) -> str | None:
        """What serving would serve now: alias champion, else the newest version in stage Production."""
        return self.aliases.live()

    def settle(self, *, record: bool = True) -> str | None:
        """Finish what others left open, compare the ledger with the alias, and give the live version.

        Args:
            record: False: write nothing, here or in the registry. The version is then the one that will be live
                once the open entry is done.

        Raises:
            HandMovedError: the alias was moved past the ledger; with `record` it stands in the ledger now.
        """
        if record:
            return self._settled()[1]
        known = self.foreseen()
        return known[-1].to_version if known else None

    def foreseen(self) -> list[Entry]:
        """All entries as `settle` would leave them; nothing is written, here or in the registry.

        Raises:
            HandMovedError: the alias was moved past the ledger.
        """
        while True:
            last = self._last()
            outcome = self.records.outcome(last.number) if last else None
            live, known = self.live(), self.entries()
            if len(known) != (last.number if last else 0):  # somebody wrote an entry meanwhile
                continue
            if last is None:
                return [] if live is None else [self._found(None, live)]
            is_there = last.to_version is None or self.aliases.exists(last.to_version)
            if outcome == GONE or (outcome is None and not is_there):
                return [*known, self._reverted(last)]
            if outcome is not None and live != last.to_version:
                raise self._hand_moved(last, live, "not recorded by a dry run")
            return known

    def move(
        self,
        action: str,
        to: str,
        *,
        live: str | None,
        seen: int,
        previous: str | None,
        reason: str,
        evidence: dict[str, Any],
    ) -> Entry:
        """Claim the next entry, move the aliases, mark the entry as done.

        Args:
            action: first, promoted or rolled-back.
            to: the version to make live.
            live: the version that the decision was based on.
            seen: number of the newest entry that the decision was based on; 0: there was none.
            previous: what the alias `previous` shall name; None, or a version that is gone: the alias is removed.
            reason: for people.
            evidence: figures and rules.

        Raises:
            ChampionChangedError: another version than `live` is live by now, or there are newer entries than `seen`,
                such as one that says that `to` is bad; nothing moved.
            DataError: the version is gone, the move took too long, or the registry does not answer.
        """
        while True:
            number, now = self._settled()
            if now != live:
                raise ChampionChangedError(
                    f"--model-name {self.model}: the champion became {named(now)} while this was decided for "
                    f"{named(live)}: run again"
                )
            if number != seen:
                raise ChampionChangedError(
                    f"--model-name {self.model}: the ledger went on from entry {seen} to entry {number} while this was "
                    "decided: run again"
                )
            if not self.aliases.exists(to):
                raise DataError(f"--model-name {self.model}: want version {to} in the registry, found none")
            kept = previous if self.aliases.exists(previous) else None
            entry = self._next(number, action, live, to, kept, reason, evidence)
            if self._claim(entry):
                break
        if self.records.outcome(entry.number) == GONE:
            self.settle()
            raise DataError(
                f"--model-name {self.model}: version {to} was removed from the registry while it was made live: "
                f"entry {entry.number} was reverted"
            )
        return entry

    def claimed(self, to: str, seen: int) -> bool:
        """Whether a move of ours to a version, later than entry `seen`, was carried out or will be by the next call."""
        return any(
            entry.to_version == to
            and entry.action not in (FOUND, REVERTED)
            and entry.owner.get("token") == self.token
            and self.records.outcome(entry.number) != GONE
            for entry in self.entries()[seen:]
        )

    def before(self, to: str | None, action: str = ROLLED_BACK, known: list[Entry] | None = None) -> str | None:
        """What had been live before version `to` became live, the newest that still exists; None: nothing.

        Args:
            to: version; None: nothing is live, and what was live last is asked for.
            action: by which it becomes live.
            known: entries to go by; by default the ledger's.
        """
        known = self.entries() if known is None else known
        after = [replace(known[-1], action=action, to_version=to)] if known else []
        line = [version for version in entries.lineage([*known, *after]) if version != to]
        return next((version for version in reversed(line) if self.aliases.exists(version)), None)

    def _settled(self) -> tuple[int, str | None]:
        """The newest entry's number, once nothing is open, and the live version, which is that entry's."""
        self.records.check_writable()
        seen: dict[tuple[int, int], float] = {}
        while True:
            last = self._last()
            number, outcome = (last.number, self.records.outcome(last.number)) if last else (0, None)
            if last and outcome is None:
                self.mover.finish(last, seen)
                continue
            if last and outcome == GONE:
                self._claim(self._reverted(last))
                continue
            live = self.live()
            if live == (last.to_version if last else None):
                return number, live
            found = self._found(last, live)
            if self._claim(found) and last:  # else somebody is just moving it, and has the number
                raise self._hand_moved(last, live, f"recorded as entry {found.number}; run again to decide")

    def _reverted(self, entry: Entry) -> Entry:
        """Back from a version that is gone: to where its entry came from or, if that is gone too, to nothing."""
        target = entry.from_version if entry.action != REVERTED and self.aliases.exists(entry.from_version) else None
        before = self.records.entry(entry.number - 1).previous if entry.number > 1 and target is not None else None
        reason = f"{named(entry.to_version)} was gone from the registry when entry {entry.number} was carried out"
        return self._next(entry.number, REVERTED, entry.to_version, target, before, reason, {})

    def _found(self, last: Entry | None, live: str | None) -> Entry:
        """What was moved by hand."""
        if last is None:
            reason, previous = "live before the ledger began", self.aliases.named_by(PREVIOUS)
            return self._next(0, FOUND, None, live, previous, reason, {})
        reason = f"moved outside the ledger between {last.time} and {entries.stamp(last)}"
        return self._next(last.number, FOUND, last.to_version, live, self.before(live, FOUND), reason, {})

    def _claim(self, entry: Entry) -> bool:
        """Write an entry and carry it out; False: its number is another's."""
        begun = self.clock()
        if not self.records.claim(entry):
            return False
        pause("ledger-claim", entry.number)
        self.mover.carry_out(entry, begun)
        return True

    def _last(self) -> Entry | None:
        number = self.records.last_number()
        if not number:
            return None
        last = self.records.entry(number)
        self._check_registry(last)
        return last

    def _check_registry(self, last: Entry) -> None:
        """A ledger that outlived its registry would move the aliases of another model with the same name."""
        if last.registered != self.aliases.registered():
            raise DataError(
                f"--ledger {self.records.folder}: want the ledger of this registry, found {last.number} entries for a "
                "registered model that it does not have or no longer has: name another ledger, or move that folder away"
            )

    def _next(
        self,
        number: int,
        action: str,
        live: str | None,
        to: str | None,
        previous: str | None,
        reason: str,
        evidence: dict[str, Any],
    ) -> Entry:
        """The entry after `number`."""
        return Entry(
            number=number + 1,
            action=action,
            model=self.model,
            from_version=live,
            to_version=to,
            previous=previous,
            by=claims.actor(),
            reason=reason,
            time=entries.stamp(self.records.entry(number) if number else None),
            evidence=evidence,
            owner=claims.owner(self.token),
            registered=self.aliases.registered(),
        )

    def _hand_moved(self, last: Entry, live: str | None, advice: str) -> HandMovedError:
        return HandMovedError(
            f"--model-name {self.model}: alias {CHAMPION} was moved outside the ledger: {named(live)} is live, "
            f"entry {last.number} says {named(last.to_version)}; {advice}"
        )
