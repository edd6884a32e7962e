"""The closing lines of a test run: what was tested with tools that come from no registry, and what could not be."""

from collections.abc import Mapping, Sequence
from typing import Any

GCLOUD = "want gcloud on PATH"
"""Why a test marked gcloud is skipped."""

# Part of the reason that a skipped test gives, and how the line begins.
ABSENT = {
    "fake-gcs-server": "fake-gcs-server: {} skipped, because it is not in .local/bin and Go not on PATH",
    "chromium": "Chromium: {} skipped, because it is absent",
}


def lines(stats: Mapping[str, Sequence[Any]]) -> list[str]:
    """One line on gcloud where any of its tests was chosen, and one on each other tool for want of which tests skipped.

    Args:
        stats: pytest's reports by outcome.
    """
    ran = {
        report.nodeid
        for outcome in ("passed", "failed", "error")
        for report in stats.get(outcome, [])
        if "gcloud" in getattr(report, "keywords", ())  # what could not be collected has none
    }
    reasons = [str(report.longrepr[2]) for report in stats.get("skipped", []) if isinstance(report.longrepr, tuple)]
    absent = sum(GCLOUD in reason for reason in reasons)
    found = [f"gcloud: {_tests(len(ran))} ran, {absent} skipped because it is absent"] if ran or absent else []
    for tool, line in ABSENT.items():
        skipped = sum(tool in reason.lower() for reason in reasons)
        if skipped:
            found.append(line.format(_tests(skipped)))
    return found


def _tests(count: int) -> str:
    return f"{count} test{'' if count == 1 else 's'}"
