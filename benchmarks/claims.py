"""A figure and what is wanted of it, and how figures are taken from the sections of a run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import LINEAR_FITS, OURS, WHOLE

Sections = dict[str, dict[str, Any]]
"""Figures by the name of the section; only sections that were done."""


@dataclass(frozen=True)
class Claim:
    """One figure and what is wanted of it.

    Attributes:
        section: that it comes from.
        what: it is, for the table.
        shown: format of the figure with its unit.
        value: takes it from the sections; KeyError where a section or a part of it is missing.
        wanted: the limit; None: it is stated, nothing is wanted of it.
        at_most: whether the limit is one from above.
        beside: a second section that it is divided by, which counts only if one machine measured both.
    """

    section: str
    what: str
    shown: str
    value: Callable[[Sections], float]
    wanted: float | None = None
    at_most: bool = True
    beside: str = ""

    def found(self, sections: Sections) -> float | None:
        """The figure; None where it was not measured."""
        try:
            return self.value(sections)
        except (KeyError, StopIteration):
            return None

    def shows(self, sections: Sections, absent: str = "") -> str:
        """The figure with its unit; `absent` where it was not measured."""
        found = self.found(sections)
        return absent if found is None else self.shown.format(found)

    def verdict(self, sections: Sections) -> str:
        """In plain words: whether what was wanted is reached."""
        found = self.found(sections)
        if found is None:
            return "not run"
        if self.wanted is None:
            return "stated"
        if self.beside and len({_machine(sections[name]) for name in (self.section, self.beside)}) > 1:
            return "not comparable: of two machines"
        if found <= self.wanted if self.at_most else found >= self.wanted:
            return "reached"
        return "**missed**: above what is wanted" if self.at_most else "**missed**: below what is wanted"

    def limit(self) -> str:
        """What is wanted, in words."""
        if self.wanted is None:
            return "to be stated"
        return f"at {'most' if self.at_most else 'least'} {self.shown.format(self.wanted)}"


def _machine(section: dict[str, Any]) -> str:
    return str(section.get("machine", {}).get("cpu"))


def row(rows: list[dict[str, Any]], what: str, step: str) -> dict[str, Any]:
    """The row of one contender and step; StopIteration: there is none."""
    return next(found for found in rows if (found["what"], found["step"]) == (what, step))


def seconds(rows: list[dict[str, Any]], what: str, step: str) -> float:
    """Its wall seconds."""
    return float(row(rows, what, step)["seconds"])


def per_million(section: dict[str, Any]) -> float:
    """Our seconds for features, LR and SVC per million rows."""
    return seconds(section["steps"], OURS, LINEAR_FITS) / float(section["rows"]) * 1e6


def peak(section: dict[str, Any], what: str) -> float:
    """Of the whole process tree, in bytes."""
    return float(row(section["steps"], what, WHOLE)["peak_bytes"])


def peaks(section: str, one: str, other: str) -> Callable[[Sections], float]:
    """What takes the peak memory of one over that of the other."""
    return lambda sections: peak(sections[section], one) / peak(sections[section], other)


def growth(sections: Sections, what: str) -> float:
    """Peak memory at 1.6 million rows over that of the tweets as they are."""
    return peak(sections["linear-1600k"], what) / peak(sections["linear-real"], what)


def compared(sections: Sections) -> list[dict[str, Any]]:
    """Rows of the comparison of four classifiers."""
    rows: list[dict[str, Any]] = sections["training"]["comparison"]["rows"]
    return rows


def times(rows: list[dict[str, Any]], step: str, peer: str) -> float:
    """The peer's seconds over ours."""
    return seconds(rows, peer, step) / seconds(rows, OURS, step)


def speed(sections: Sections, name: str) -> float:
    """Rows per second of one contender."""
    return float(sections["throughput"]["rows_per_second"][name])


def tree(name: str) -> Callable[[Sections], float]:
    """What takes the accuracy of one of our trees minus the peer's by then."""

    def taken(sections: Sections) -> float:
        point = sections["trees"]["ours"][name]
        return float(point["accuracy"] - (point["peer_accuracy_by_then"] or 0.5))  # no tree yet is a thrown coin

    return taken


def paired(section: str, model: str) -> Callable[[Sections], float]:
    """What takes our accuracy minus scikit-learn's on the same rows."""
    return figure(section, "paired_with_scikit_learn", model, "difference")


def figure(section: str, *keys: str) -> Callable[[Sections], float]:
    """What takes one figure from a section, down the keys."""

    def taken(sections: Sections) -> float:
        found: Any = sections[section]
        for key in keys:
            found = found[key]
        return float(found)

    return taken


def busier(sections: Sections) -> float:
    """Share of the task seconds on the busier executor."""
    spent = sections["cluster"]["executors"].values()
    return float(max(spent) / sum(spent))
