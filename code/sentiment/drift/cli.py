"""The arguments of the rule that says what drift is."""

import argparse

from sentiment.drift.windows import Rule
from sentiment.flags import above_zero, whole
from sentiment.jobs import ArgumentsError


def add_rule(parser: argparse.ArgumentParser) -> None:
    """Threshold and windows."""
    rule = Rule()
    parser.add_argument(
        "--psi-threshold",
        type=above_zero,
        default=rule.threshold,
        help="population stability index above which a window stands out",
    )
    parser.add_argument("--window-hours", type=whole(1), default=rule.hours, help="length of a window")
    parser.add_argument("--windows", type=whole(1), default=rule.windows, help="how many windows to look at")
    parser.add_argument(
        "--min-windows",
        type=whole(1),
        default=rule.min_windows,
        help="in how many of them the same feature must stand out to have drifted",
    )
    parser.add_argument(
        "--min-rows", type=whole(1), default=rule.min_rows, help="rows without which a window is not judged"
    )


def rule(args: argparse.Namespace) -> Rule:
    """The rule that the arguments describe; ArgumentsError: it could never be met."""
    if args.min_windows > args.windows:
        raise ArgumentsError(
            f"--min-windows: want at most the number of --windows, {args.windows}, found {args.min_windows}"
        )
    return Rule(args.psi_threshold, args.windows, args.min_windows, args.min_rows, args.window_hours)
