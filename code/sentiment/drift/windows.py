"""Time windows and the rule that makes drift of them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sentiment.drift import psi
from sentiment.drift.bins import Bins
from sentiment.jobs import ArgumentsError

DRIFT, NO_DRIFT, TOO_FEW = "drift", "no drift", "too few rows"


@dataclass(frozen=True)
class Rule:
    """When the distribution of a feature has drifted.

    Attributes:
        threshold: PSI above which a window stands out.
        windows: how many windows are looked at, the last ones.
        min_windows: in how many of them the same feature must stand out.
        min_rows: rows without which a window is not judged.
        hours: length of a window.
    """

    threshold: float = psi.MUCH
    windows: int = 7
    min_windows: int = 3
    min_rows: int = 500
    hours: int = 24


@dataclass(frozen=True)
class Window:
    """What was found from `begin` (in it) to `end` (not in it), both in UTC.

    Attributes:
        rows: predictions of the version that is judged.
        positives: how many of them said positive.
        others: predictions of other versions, which are left out, by "model version N".
        counts: by feature, in the order of the feature's bins.
    """

    begin: datetime
    end: datetime
    rows: int = 0
    positives: int = 0
    others: dict[str, int] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """A window with its PSI by feature; empty: it has too few rows."""

    window: Window
    psi: dict[str, float]

    def state(self, threshold: float) -> str:
        """drift if any feature stands out here, no drift, or too few rows."""
        if not self.psi:
            return TOO_FEW
        return DRIFT if max(self.psi.values()) > threshold else NO_DRIFT


@dataclass(frozen=True)
class Verdict:
    """drift, no drift or too few rows; why, in one sentence; and in how many windows each feature stood out."""

    verdict: str
    reason: str
    above: dict[str, int]
    windows: list[Judged]


def spans(until: datetime, rule: Rule) -> list[Window]:
    """The windows before `until`, the oldest first, still empty; ArgumentsError: they begin before the year 1."""
    try:
        width = timedelta(hours=rule.hours)
        return [Window(until - (back + 1) * width, until - back * width) for back in reversed(range(rule.windows))]
    except OverflowError:
        raise ArgumentsError(
            f"--windows, --window-hours: want windows that begin after the year 1, "
            f"found {rule.windows} of {rule.hours} hours before {until:%Y-%m-%d}"
        ) from None


def judge(windows: list[Window], features: dict[str, Bins], rule: Rule, version: str) -> Verdict:
    """Compare every window that has rows enough with training, and apply the rule; `version` is named in the reason."""
    judged = [_judged(window, features, rule) for window in windows]
    seen = [each for each in judged if each.psi]
    above = {name: sum(each.psi[name] > rule.threshold for each in seen) for name in features}
    drifted = [name for name, number in above.items() if number >= rule.min_windows]
    last = f"the last {len(windows)} windows"
    if drifted:
        drifted.sort(key=lambda name: -max(each.psi[name] for each in seen))
        parts = [f"{name} in {above[name]} of {last} ({_worst(seen, features, name)})" for name in drifted]
        reason = f"PSI above {rule.threshold:g}: {'; '.join(parts)}"
        return Verdict(DRIFT, reason, above, judged)
    if len(seen) < rule.min_windows:
        reason = (
            f"{len(seen)} of {last} {'has' if len(seen) == 1 else 'have'} {rule.min_rows:,} rows of version {version} "
            f"or more, {rule.min_windows} are wanted"
        )
        return Verdict(TOO_FEW, reason, above, judged)
    name = max(features, key=lambda name: max(each.psi[name] for each in seen))
    reason = (
        f"no feature has a PSI above {rule.threshold:g} in {rule.min_windows} of {last} ({len(seen)} had rows enough; "
        f"the largest is {max(each.psi[name] for each in seen):.3f}, {name})"
    )
    return Verdict(NO_DRIFT, reason, above, judged)


def _judged(window: Window, features: dict[str, Bins], rule: Rule) -> Judged:
    if window.rows < rule.min_rows:
        return Judged(window, {})
    found = {name: psi.index(held.counts, window.counts[name]) for name, held in features.items()}
    return Judged(window, found)


def _worst(seen: list[Judged], features: dict[str, Bins], name: str) -> str:
    """The window in which a feature stands out most, and the bin that adds most to it."""
    worst = max(seen, key=lambda each: each.psi[name])
    expected, found = features[name].counts, worst.window.counts[name]
    place = int(psi.contributions(expected, found).argmax())
    before, now = expected[place] / sum(expected), found[place] / max(sum(found), 1)
    return (
        f"at most {worst.psi[name]:.3f}, from {worst.window.begin:%Y-%m-%d %H:%M} UTC: "
        f"'{features[name].labels[place]}' {now:.1%}, in training {before:.1%}"
    )
