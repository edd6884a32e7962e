"""Carrying out a claim of the ledger, ours or one left open: aliases and stages move, then the entry is done."""

import time
from collections.abc import Callable

from sentiment.jobs import DataError
from sentiment.live import claims, entries
from sentiment.live.aliases import Aliases
from sentiment.live.entries import FOUND, Entry, described
from sentiment.live.records import GONE, MOVED, Records
from sentiment.pausing import pause
from sentiment.progress import log
from sentiment.roles import CHAMPION, PREVIOUS

HOLD_SECONDS = 15.0
"""A claim older than this moves nothing any more: less than what others wait."""

PATIENCE_SECONDS = 30.0
"""How long an open claim is waited for whose owner is alive, or on another host."""

LOOK_SECONDS = 0.2
SAY_SECONDS = 5.0


class _OvertakenError(Exception):
    """The claim is too old to go on with."""


class Mover:
    """Moves the aliases of one model for the holder of a claim.

    Args:
        records: of the ledger.
        aliases: of the model.
        token: the holder's.
        hold_seconds: how long a claim is good for.
        patience_seconds: how long another's open claim is waited for.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        records: Records,
        aliases: Aliases,
        token: str,
        hold_seconds: float,
        patience_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self.records, self.aliases, self.token = records, aliases, token
        self.hold_seconds, self.patience_seconds, self.clock = hold_seconds, patience_seconds, clock

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

    def finish(self, entry: Entry, seen: dict[tuple[int, int], float]) -> None:
        """Carry out another's open claim once its owner is dead, or was waited for long enough; else wait a little.

        Args:
            entry: the claim.
            seen: since when, by our clock, each claim's holders have been waited for; added to here.
        """
        holder, times = self.records.holder(entry.number)
        if holder.get("token") != self.token and not claims.is_gone(holder):
            since = seen.setdefault((entry.number, times), self.clock())
            waited = self.clock() - since
            if waited < self.patience_seconds:
                if waited // SAY_SECONDS < (waited + LOOK_SECONDS) // SAY_SECONDS:
                    who = f"process {holder.get('pid')} on {holder.get('host')}"
                    log.info("waiting for %s to finish entry %d, %.0f s", who, entry.number, waited)
                time.sleep(LOOK_SECONDS)
                return
        begun = self.clock()
        if self.records.take(entry.number, times + 1, claims.owner(self.token)):
            log.info("completing entry %d, which was left open: %s", entry.number, described(entry))
            self.carry_out(entry, begun)

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
