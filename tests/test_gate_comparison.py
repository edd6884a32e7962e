"""The gate's arithmetic: the interval is the row bootstrap's, covers what it should, and passes as often as it says."""

import numpy as np
import pytest

from sentiment.gate import comparison
from sentiment.gate.comparison import Flags, Paired


def pairs(rows: int, gained: int, lost: int) -> tuple[Flags, Flags]:
    """Rows in which only the challenger is right, only the champion, and (half and half) both or neither."""
    champion, challenger = np.zeros(rows, dtype=bool), np.zeros(rows, dtype=bool)
    challenger[:gained] = True
    champion[gained : gained + lost] = True
    champion[gained + lost :: 2] = challenger[gained + lost :: 2] = True
    return champion, challenger


def drawn(random: np.random.Generator, rows: int, gain: float, loss: float) -> tuple[Flags, Flags]:
    """Rows drawn one by one: only the challenger right with probability `gain`, only the champion with `loss`."""
    place = random.random(rows)
    return (place >= gain) & (place < 0.9), (place < gain) | ((place >= gain + loss) & (place < 0.9))


def test_the_interval_is_that_of_a_bootstrap_which_draws_rows() -> None:
    champion, challenger = pairs(2_000, gained=90, lost=60)
    random = np.random.default_rng(1)
    change = challenger.astype(float) - champion.astype(float)
    brute = [float(np.mean(change[random.integers(0, 2_000, 2_000)])) for _ in range(10_000)]
    found = comparison.paired(champion, challenger)
    assert found.difference == pytest.approx(0.015)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(brute, [0.025, 0.975])), abs=0.0006)


def test_the_same_rows_give_the_same_interval_again() -> None:
    assert comparison.paired(*pairs(500, 30, 20)) == comparison.paired(*pairs(500, 30, 20))


@pytest.mark.parametrize(("gain", "loss"), [(0.05, 0.05), (0.03, 0.06), (0.004, 0.002)])
def test_the_interval_covers_the_true_difference_nineteen_times_out_of_twenty(gain: float, loss: float) -> None:
    random = np.random.default_rng(5)
    times, covered = 2_000, 0
    for _ in range(times):
        found = comparison.paired(*drawn(random, 2_000, gain, loss), resamples=2_000)
        covered += found.low <= gain - loss <= found.high
    assert covered / times == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("margin", [0.005, 0.01])
def test_a_challenger_just_as_good_passes_as_often_as_the_reason_says(margin: float) -> None:
    random = np.random.default_rng(3)
    found = [comparison.paired(*drawn(random, 4_000, 0.03, 0.03), resamples=1_000) for _ in range(600)]
    passed = np.mean([pair.shows_no_more_loss_than(margin) for pair in found])
    assert passed == pytest.approx(np.mean([pair.pass_rate(margin) for pair in found]), abs=0.04)


def test_one_that_is_worse_by_the_margin_passes_once_in_forty_times() -> None:
    random = np.random.default_rng(4)
    found = [comparison.paired(*drawn(random, 4_000, 0.02, 0.03), resamples=1_000) for _ in range(1_000)]
    assert np.mean([pair.shows_no_more_loss_than(0.01) for pair in found]) == pytest.approx(0.025, abs=0.015)


def test_rows_that_are_said_to_be_enough_are_enough_and_hardly_more() -> None:
    few = comparison.paired(*pairs(2_000, 40, 40))
    assert not few.shows_no_more_loss_than(0.005)
    needed = few.rows_to_show(0.005)
    assert needed is not None
    for rows, passes in ((int(needed * 1.1), True), (int(needed * 0.9), False)):
        discordant = round(rows * 0.02)
        assert comparison.paired(*pairs(rows, discordant, discordant)).shows_no_more_loss_than(0.005) is passes
    assert comparison.paired(*pairs(2_000, 40, 60)).rows_to_show(0.005) is None


def test_models_that_never_differ_are_not_taken_for_proof_on_a_few_rows() -> None:
    assert not comparison.paired(*pairs(100, 0, 0)).shows_no_more_loss_than(0.005)
    same = comparison.paired(*pairs(1_000, 0, 0))
    assert same.shows_no_more_loss_than(0.005)
    assert (same.difference, same.low, same.high) == (0.0, -0.003, 0.003)


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([1.0, 1.0, 1.0, 0.0], [0.75, 0.75, 0.75, 0.75], 0.0),
        ([1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], 0.0),
        ([1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0], 0.5),
        ([0.0, 0.0, 1.0, 1.0], [0.25, 0.25, 0.85, 0.85], 0.2),
    ],
)
def test_the_calibration_error_is_the_mean_distance_from_the_diagonal(
    labels: list[float], scores: list[float], expected: float
) -> None:
    assert comparison.calibration_error(np.array(labels), np.array(scores)) == pytest.approx(expected)


def test_an_interval_wholly_below_zero_still_passes_within_the_margin() -> None:
    assert Paired(rows=10_000, gained=10, lost=40, low=-0.0044, high=-0.0016).shows_no_more_loss_than(0.005)
    assert not Paired(rows=10_000, gained=10, lost=40, low=-0.0044, high=-0.0016).shows_no_more_loss_than(0.0)
