"""The index against figures worked out by hand and another formula; the bins; the rule that makes a verdict of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, entropy

from sentiment import flags
from sentiment.drift import bins, cli, psi, windows
from sentiment.drift.bins import FEATURES, LENGTH, SCORE, TOKENS, Bins
from sentiment.drift.windows import DRIFT, NO_DRIFT, TOO_FEW, Rule, Window
from sentiment.jobs import ArgumentsError

UNTIL = datetime(2026, 11, 8, tzinfo=UTC)
COUNTS = st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 5_000)), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("expected", "found", "index"),
    [
        # Shares of 1/2 and 1/2 become 1/18 and 17/18: -4/9 ln(1/9) + 4/9 ln(17/9).
        ([4, 4], [0, 8], 1.259206),
        # 1/4, 3/4 becomes 3/4, 1/4: 2 * 1/2 ln 3.
        ([2, 7], [7, 2], 1.098612),
        ([4, 4], [49, 49], 0.0),
    ],
)
def test_the_index_of_figures_worked_out_by_hand(expected: list[int], found: list[int], index: float) -> None:
    assert psi.index(expected, found) == pytest.approx(index, abs=1e-6)


@given(COUNTS)
def test_the_index_is_the_two_relative_entropies_together(pairs: list[tuple[int, int]]) -> None:
    expected, found = (np.array(side) + psi.SMOOTHING for side in zip(*pairs, strict=True))
    both = entropy(expected, found) + entropy(found, expected)
    assert psi.index(*zip(*pairs, strict=True)) == pytest.approx(both, abs=1e-9)


@given(COUNTS)
def test_the_index_is_never_negative_zero_for_equal_counts_and_the_same_both_ways(pairs: list[tuple[int, int]]) -> None:
    expected, found = zip(*pairs, strict=True)
    assert psi.contributions(expected, found).min() >= 0
    assert psi.index(expected, expected) == 0
    assert psi.index(expected, found) == pytest.approx(psi.index(found, expected))


@given(st.integers(100, 10_000), st.integers(0, 99), st.integers(1, 50))
def test_the_index_grows_with_the_shift(rows: int, moved: int, more: int) -> None:
    def shifted(by: int) -> float:
        return psi.index([rows, rows], [max(rows - by, 0), min(rows + by, 2 * rows)])

    assert shifted(moved) < shifted(moved + more) or moved >= rows


def test_an_equal_distribution_is_no_drift_however_often_it_is_asked() -> None:
    """20,000 windows of as few rows as are judged, against 2,000 test rows: the figures in the docs."""
    drawn = np.random.default_rng(7)
    even = np.full(10, 0.1)
    expected, found = (drawn.multinomial(rows, even, size=20_000) for rows in (2_000, Rule().min_rows))
    indices = psi.contributions(expected.astype(float), found.astype(float)).sum(axis=1)
    spread = 1 / 2_000 + 1 / Rule().min_rows
    assert indices.mean() == pytest.approx(9 * spread, rel=0.05)
    assert np.quantile(indices, 0.999) == pytest.approx(chi2.ppf(0.999, 9) * spread, rel=0.05)
    assert indices.max() < Rule().threshold / 2


def test_bins_are_tenths_of_the_values_as_far_as_equal_ones_allow() -> None:
    assert bins.deciles(np.arange(1_000.0))["counts"] == [100] * 10
    tied = bins.deciles(np.array([0.25] * 55 + [0.5] * 20 + [0.75] * 25))
    assert tied == {"edges": [0.375, 0.625], "counts": [55, 20, 25]}
    assert bins.deciles(np.full(9, 140.0)) == {"edges": [], "counts": [9]}


@given(st.lists(st.integers(0, 200), min_size=1, max_size=300))
def test_every_value_is_in_one_bin_and_none_lies_on_an_edge(values: list[int]) -> None:
    made = bins.deciles(np.array(values, dtype=float))
    assert sum(made["counts"]) == len(values)
    assert min(made["counts"]) > 0
    assert not set(made["edges"]) & set(map(float, values))


def profile() -> dict[str, object]:
    score = bins.deciles(np.arange(1_000) / 1_000)
    lengths = bins.deciles(np.repeat(np.arange(140.0), 10))
    tokens = bins.of_tokens({"i": 400, "$": 100}, 2_000)
    return {"format": 2, "bins": {SCORE: score, LENGTH: lengths, TOKENS: tokens}}


def test_the_bins_of_a_profile_are_read_as_they_were_written() -> None:
    read = bins.read(profile())
    assert list(read) == FEATURES
    assert read[TOKENS] == Bins(["i", "$", "other tokens"], [400, 100, 1_500], [])
    assert read[TOKENS].tokens == ["i", "$"]
    assert (read[SCORE].labels[0], read[SCORE].labels[1], read[SCORE].labels[9]) == (
        "up to 0.0995",
        "0.0995 to 0.1995",
        "over 0.8995",
    )


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        ({"format": 1}, "format 1 of another release"),
        ({"format": None}, "format None of another release"),
        ({"bins": {SCORE: {"edges": [], "counts": [1]}}}, "bins that cannot be read"),
        ({"bins": {SCORE: {"edges": [0.5], "counts": [1]}}}, "bins of score that do not fit together"),
    ],
)
def test_a_profile_that_holds_no_bins_is_told(spoil: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        bins.read({**profile(), **spoil})


EVEN = {name: Bins(["low", "high"], [500, 500], [0.5]) for name in FEATURES}
RULE = Rule(windows=4, min_windows=2, min_rows=100)
SAME, SHIFTED = [500, 500], [900, 100]


def judged(*found: dict[str, list[int]] | None) -> windows.Verdict:
    """The verdict on windows with these counts where they differ from training; None: a window with too few rows."""
    spans = windows.spans(UNTIL, RULE)
    filled = [
        replace(span, rows=99 if counts is None else 1_000, counts=dict.fromkeys(FEATURES, SAME) | (counts or {}))
        for span, counts in zip(spans, found, strict=True)
    ]
    return windows.judge(filled, EVEN, RULE, "3")


def test_a_feature_that_stands_out_in_enough_windows_has_drifted_and_is_named() -> None:
    verdict = judged(None, {LENGTH: SHIFTED}, {}, {LENGTH: [950, 50]})
    assert verdict.verdict == DRIFT
    assert verdict.above == {SCORE: 0, LENGTH: 2, TOKENS: 0}
    assert verdict.reason == (
        "PSI above 0.2: text_length in 2 of the last 4 windows "
        "(at most 1.319, from 2026-11-07 00:00 UTC: 'high' 5.0%, in training 50.0%)"
    )
    assert [each.state(0.2) for each in verdict.windows] == [TOO_FEW, DRIFT, NO_DRIFT, DRIFT]


def test_windows_in_which_different_features_stand_out_are_no_drift() -> None:
    verdict = judged({LENGTH: SHIFTED}, {SCORE: SHIFTED}, {TOKENS: SHIFTED}, {})
    assert verdict.verdict == NO_DRIFT
    assert verdict.reason.startswith("no feature has a PSI above 0.2 in 2 of the last 4 windows (4 had rows enough; ")


def test_too_few_windows_with_rows_enough_are_neither_drift_nor_none() -> None:
    verdict = judged(None, None, {LENGTH: SHIFTED}, None)
    assert verdict.verdict == TOO_FEW
    assert verdict.reason == "1 of the last 4 windows has 100 rows of version 3 or more, 2 are wanted"
    assert judged(None, None, {}, {}).verdict == NO_DRIFT


def test_windows_are_adjacent_and_end_at_the_moment_given_whatever_its_zone() -> None:
    until = flags.moment("2026-03-29T03:30:00+02:00")  # the night that clocks go forward in Berlin
    spans = windows.spans(until, Rule(windows=3, hours=24))
    assert [f"{span.begin:%m-%d %H:%M %Z}" for span in spans] == [
        "03-26 01:30 UTC",
        "03-27 01:30 UTC",
        "03-28 01:30 UTC",
    ]
    assert spans[-1].end == until
    assert all(before.end == after.begin for before, after in pairwise(spans))
    assert spans[0] == Window(until - timedelta(hours=72), until - timedelta(hours=48))


def test_a_rule_that_could_never_be_met_is_refused() -> None:
    parser = flags.parser("")
    cli.add_rule(parser)
    with pytest.raises(ArgumentsError, match=r"^--min-windows: want at most the number of --windows, 2, found 3$"):
        cli.rule(parser.parse_args(["--windows", "2"]))


@pytest.mark.parametrize(("count", "hours"), [(1_000_000, 24), (1, 10**9), (1, 10**15), (10**15, 1)])
def test_windows_that_reach_beyond_the_calendar_are_refused(count: int, hours: int) -> None:
    wanted = rf"^--windows, --window-hours: want windows that begin after the year 1, found {count} of {hours} hours "
    with pytest.raises(ArgumentsError, match=f"{wanted}before 2026-11-08$"):
        windows.spans(UNTIL, Rule(windows=count, hours=hours))


@pytest.mark.parametrize("value", ["0", "-0.1", "inf", "nan", "a lot"])
def test_a_threshold_that_is_no_number_above_0_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = flags.parser("")
    cli.add_rule(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([f"--psi-threshold={value}"])
    assert f"--psi-threshold: want a number above 0, got '{value}'" in capsys.readouterr().err
