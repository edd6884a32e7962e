"""Carrying out a claim of the ledger: aliases and stages move, then the entry is marked as done."""

from collections.abc import Callable

from sentiment.jobs import DataError
from sentiment.live import claims, entries
from sentiment.live.aliases import Aliases
from sentiment.live.entries import FOUND, Entry, described
from sentiment.live.records import GONE, MOVED, Records
from sentiment.pausing import pause
from sentiment.roles import CHAMPION, PREVIOUS

HOLD_SECONDS = 15.0
"""A claim older than this moves nothing any more: less than what others wait."""


class _OvertakenError(Exception):
    """The claim is too old to go on with."""


class Mover:
    """Moves the aliases of one model for the holder of a claim.

    Args:
        records: of the ledger.
        aliases: of the model.
        token: the holder's.
        hold_seconds: how long a claim is good for.
        clock: monotonic, in seconds.
    """

    def __init__(
        self, records: Records, aliases: Aliases, token: str, hold_seconds: float, clock: Callable[[], float]
    ) -> None:
        self.records, self.aliases, self.token = records, aliases, token
        self.hold_seconds, self.clock = hold_seconds, clock

    def carry_out(self, entry: Entry, begun: float) -> None:
        """Move the aliases to what a claim of ours says and mark it as done; `begun`: our clock before the claim."""
        try:
            outcome = MOVED if self._move_aliases(entry, begun) else GONE
            pause("ledger-done", entry.number)
            self._in_time(begun)
            if self.records.close(entry.number, outcome, claims.owner(self.token), entries.stamp(None)):
                return
        except _OvertakenError:
            if self.records.outcome(entry.number) is None:
                raise DataError(
                    f"--mlflow-uri: want aliases moved within {self.hold_seconds:g} s, found a registry that is "
                    f"slower: entry {entry.number} ({described(entry)}) is open; the next call completes it"
                ) from None
        self._look_back()

    def _move_aliases(self, entry: Entry, begun: float) -> bool:
        """False: the version to make live is gone from the registry."""
        by_hand = entry.action == FOUND  # stays where it is
        self._in_time(begun)
        if not by_hand and not self.aliases.point(CHAMPION, entry.to_version):
            return False
        pause("ledger-champion", entry.number)
        self._in_time(begun)
        self.aliases.point(PREVIOUS, entry.previous)
        pause("ledger-previous", entry.number)
        self._in_time(begun)
        if not by_hand:
            self.aliases.set_stages(entry.to_version)
        return True

    def _in_time(self, begun: float) -> None:
        if self.clock() - begun >= self.hold_seconds:
            raise _OvertakenError

    def _look_back(self) -> None:
        """We were taken for dead, and a call of ours may have come late: set the aliases to the latest entry's."""
        while True:
            latest = self.records.entry(self.records.last_number())
            if self.aliases.point(CHAMPION, latest.to_version):
                self.aliases.point(PREVIOUS, latest.previous)
                self.aliases.set_stages(latest.to_version)
            if self.records.last_number() == latest.number:
                return
