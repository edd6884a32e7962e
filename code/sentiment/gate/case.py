"""What is judged, and what a judgement consists of."""

from dataclasses import dataclass, field

from sentiment.gate.comparison import Paired
from sentiment.gate.settings import Limits
from sentiment.gate.trial import Trial
from sentiment.gate.versions import Version
from sentiment.live.entries import Entry

PASSED, FAILED, LEFT_OUT = "passed", "failed", "left out"


@dataclass(frozen=True)
class Verdict:
    """One rule's outcome: `verdict` is passed, failed or left out; `reason` is one line."""

    rule: str
    limit: str
    found: str
    verdict: str
    reason: str


@dataclass
class Findings:
    """All verdicts, and the comparisons behind them.

    Attributes:
        verdicts: in the order in which the rules are named.
        overall: champion and challenger on all rows; None: they were not compared.
        slices: the same for each slice that has rows.
    """

    verdicts: list[Verdict] = field(default_factory=list)
    overall: Paired | None = None
    slices: dict[str, Paired] = field(default_factory=dict)

    @property
    def failed(self) -> list[Verdict]:
        """The rules that failed."""
        return [verdict for verdict in self.verdicts if verdict.verdict == FAILED]


@dataclass(frozen=True)
class Case:
    """Everything that is judged: both versions (champion None: nothing is live), the trial, the ledger's entries."""

    challenger: Version
    champion: Version | None
    trial: Trial
    entries: list[Entry]
    limits: Limits

    @property
    def versions(self) -> list[Version]:
        """The versions that there are, the champion first."""
        return [version for version in (self.champion, self.challenger) if version is not None]
