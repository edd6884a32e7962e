"""A drift report in three forms: report.json for programs, report.md and report.html for people."""

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from sentiment import pages, storage
from sentiment.drift import pictures, psi
from sentiment.drift.bins import MEANINGS, Bins
from sentiment.drift.profiles import Profile
from sentiment.drift.windows import DRIFT, NO_DRIFT, TOO_FEW, Judged, Rule, Verdict

JSON, MARKDOWN, PAGE = "report.json", "report.md", "report.html"
DIGITS = 6
BINS_SHOWN = 10
LOOKS = {NO_DRIFT: "good", TOO_FEW: "fair", DRIFT: ""}


def content(profile: Profile, verdict: Verdict, rule: Rule, source: str) -> dict[str, Any]:
    """What report.json holds: verdict, reason, the rule, and figures by feature and by window."""
    return {
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "model_name": profile.model,
        "model_version": profile.version,
        "run_id": profile.run_id,
        "profile": {"rows": profile.rows, "positive_share": profile.positive_share},
        "input": source,
        "written": _iso(datetime.now(UTC)),
        "psi_threshold": rule.threshold,
        "window_hours": rule.hours,
        "last_windows": rule.windows,
        "min_windows": rule.min_windows,
        "min_rows": rule.min_rows,
        "features": {
            name: {
                "drift": above >= rule.min_windows,
                "windows_above": above,
                "largest_psi": _largest(verdict, name),
            }
            for name, above in verdict.above.items()
        },
        "windows": [_window(each, profile, rule) for each in verdict.windows],
    }


def write(spark: SparkSession, folder: str, profile: Profile, verdict: Verdict, rule: Rule, source: str) -> None:
    """Write the report into a folder, local or gs://; report.json comes last."""
    held = content(profile, verdict, rule, source)
    plots = [{"title": "PSI by window", "data": pages.embedded(pictures.over_time(verdict.windows, rule))}]
    details = []
    for name, bins in profile.features.items():
        worst = _worst(verdict, name)
        if worst is None:
            continue
        picture = pages.embedded(pictures.against_training(name, bins, worst))
        begin = f"{worst.window.begin:%Y-%m-%d %H:%M}"
        details.append(
            {"name": name, "begin": begin, "plot": picture, "rows": _bin_rows(bins, worst.window.counts[name])}
        )
    context = {
        "report": held,
        "look": LOOKS[verdict.verdict],
        "features": _feature_rows(held),
        "windows": _window_rows(held),
        "details": details,
        "plots": plots if details else [],
    }
    for file in (MARKDOWN, PAGE):
        text = pages.render("sentiment.drift", f"{file}.jinja", **context)
        storage.replace_text(spark, storage.join(folder, file), text)
    storage.replace_text(spark, storage.join(folder, JSON), json.dumps(held, indent=2) + "\n")


def _window(each: Judged, profile: Profile, rule: Rule) -> dict[str, Any]:
    window = each.window
    found: dict[str, Any] = {
        "begin": _iso(window.begin),
        "end": _iso(window.end),
        "state": each.state(rule.threshold),
        "rows": window.rows,
        "positive_share": round(window.positives / window.rows, DIGITS) if window.rows else None,
        "left_out": window.others,
        "psi": {name: round(value, DIGITS) for name, value in each.psi.items()},
    }
    if each.psi:
        found["bins"] = {name: _bins(bins, window.counts[name]) for name, bins in profile.features.items()}
    return found


def _bins(bins: Bins, found: list[int]) -> list[dict[str, Any]]:
    """Every bin with its shares as they were counted, and what it adds to the PSI."""
    before, now = (np.array(counts) / max(sum(counts), 1) for counts in (bins.counts, found))
    adds = psi.contributions(bins.counts, found)
    return [
        {
            "bin": label,
            "training": round(float(before[place]), DIGITS),
            "found": round(float(now[place]), DIGITS),
            "adds": round(float(adds[place]), DIGITS),
        }
        for place, label in enumerate(bins.labels)
    ]


def _worst(verdict: Verdict, name: str) -> Judged | None:
    """The window in which a feature stands out most; None: no window could be judged."""
    return max((each for each in verdict.windows if each.psi), key=lambda each: each.psi[name], default=None)


def _largest(verdict: Verdict, name: str) -> float | None:
    worst = _worst(verdict, name)
    return None if worst is None else round(worst.psi[name], DIGITS)


def _feature_rows(held: dict[str, Any]) -> list[list[str]]:
    return [
        [
            name,
            MEANINGS[name],
            "" if of["largest_psi"] is None else f"{of['largest_psi']:.3f}",
            f"{of['windows_above']} of {held['last_windows']}",
            _said(of, held["verdict"]),
        ]
        for name, of in held["features"].items()
    ]


def _said(of: dict[str, Any], verdict: str) -> str:
    if of["drift"]:
        return DRIFT
    return TOO_FEW if verdict == TOO_FEW else NO_DRIFT


def _window_rows(held: dict[str, Any]) -> list[list[str]]:
    """The newest first."""
    rows = []
    for window in reversed(held["windows"]):
        share = window["positive_share"]
        indices = [f"{window['psi'][name]:.3f}" if window["psi"] else "" for name in held["features"]]
        left_out = ", ".join(f"{number:,} of {version}" for version, number in window["left_out"].items())
        begin = f"{datetime.fromisoformat(window['begin']):%Y-%m-%d %H:%M}"
        shown = "" if share is None else f"{share:.1%}"
        rows.append([begin, f"{window['rows']:,}", shown, *indices, window["state"], left_out])
    return rows


def _bin_rows(bins: Bins, found: list[int]) -> list[list[str]]:
    """The bins that add most, in that order."""
    ordered = sorted(_bins(bins, found), key=lambda bin_: -bin_["adds"])[:BINS_SHOWN]
    return [[bin_["bin"], f"{bin_['training']:.1%}", f"{bin_['found']:.1%}", f"{bin_['adds']:.3f}"] for bin_ in ordered]


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
