"""Let a challenger go live when it is shown to be fit: it and the champion score rows that neither was trained on.

A fresh process loads and scores both; every rule says what it wants and what it found; a model card goes into the
version's artifacts. Exit 0: promoted (--dry-run: it would be), champion already or, with --verdict, decided; 3: kept, a
line per failed rule, 1: error, 2: arguments.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "code"))
try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "promote-model.py: the package 'sentiment' is missing: want it in code/ beside ci-cd/; submit "
        "dist/promote-model.py instead, or add --py-files dist/sentiment.zip (make package writes both)"
    ) from None
from sentiment import arguments, flags, jobs, objects, progress
from sentiment.gate.settings import TRIAL_SECONDS, Limits, Settings
from sentiment.jobs import DataError

if TYPE_CHECKING:
    from sentiment.gate.decision import Outcome

KEPT = 3


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    arguments.add_live_model(parser)
    parser.add_argument(
        "--model-version", type=flags.whole(1), help="version to promote (default: the one with alias challenger)"
    )
    parser.add_argument(
        "--validation-data",
        help="folder that create_splits.py wrote, or its test/ (default: what the version's training read or left)",
    )
    _add_limits(parser)
    parser.add_argument(
        "--approve",
        action="store_true",
        help="promote although rules fail, for the --reason given; not without spark-minor and loads",
    )
    parser.add_argument("--reason", type=flags.reason, help="why, for the ledger; --approve wants one")
    parser.add_argument("--dry-run", action="store_true", help="decide, and write and move nothing but --card")
    parser.add_argument("--card", type=_local, help="local folder to write the model card to as well")
    parser.add_argument(
        "--verdict",
        help="object to write the decision to as JSON, a local path or gs://: promoted, challenger, champion (the "
        "version that was live), lines; kept is exit 0 then",
    )
    parser.add_argument(
        "--trial-seconds",
        type=flags.whole(1),
        default=TRIAL_SECONDS,
        help="after which the scoring process is stopped; a challenger that it is busy with fails the rule loads",
    )
    args = parser.parse_args(argv)
    args.reason = args.reason or ""
    if args.approve and not args.reason:
        parser.error("--approve: want a --reason with it, found none")
    return args


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = Limits()
    parser.add_argument(
        "--min-accuracy", type=flags.share, default=limits.min_accuracy, help="accuracy on the validation rows"
    )
    parser.add_argument(
        "--max-regression",
        type=_difference,
        default=limits.max_regression,
        help="how much less accurate than the champion it may be, as a share: the whole 95%% interval of the paired "
        "bootstrap must lie within, so one that is worse by just that much passes in 2.5%% of cases, and on few rows "
        "one that is as good may be kept (the line says how often); 0 asks to be shown that it is no worse, a "
        "negative share that it is better",
    )
    parser.add_argument(
        "--max-slice-regression",
        type=_difference,
        default=limits.max_slice_regression,
        help="the same of each slice of 50 rows or more (short, long, negation, link, mention); the difference itself "
        "is judged, its interval shown",
    )
    parser.add_argument(
        "--max-calibration-error",
        type=flags.share,
        default=limits.max_calibration_error,
        help="expected calibration error over ten equal bins of the score",
    )
    parser.add_argument(
        "--max-latency-ratio",
        type=_above_zero,
        default=limits.max_latency_ratio,
        help="95th percentile of the time for a batch of 1,000 rows, over the champion's",
    )


def _local(text: str) -> str:
    if not text.strip() or "://" in text:
        raise argparse.ArgumentTypeError(f"want a local folder, got {text!r}")
    return text


def _difference(text: str) -> float:
    return _number(text, "a number from -1 to 1", -1, 1)


def _above_zero(text: str) -> float:
    return _number(text, "a number above 0", sys.float_info.min, sys.float_info.max)


def _number(text: str, wanted: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"want {wanted}, got {text!r}")
    return value


def settings(args: argparse.Namespace) -> Settings:
    """What the arguments ask for."""
    return Settings(
        mlflow_uri=args.mlflow_uri,
        model=args.model_name,
        version=str(args.model_version or ""),
        ledger=args.ledger or "",
        validation_data=args.validation_data or "",
        limits=Limits(
            args.min_accuracy,
            args.max_regression,
            args.max_slice_regression,
            args.max_calibration_error,
            args.max_latency_ratio,
        ),
        approve=args.approve,
        reason=args.reason,
        dry_run=args.dry_run,
        card=args.card or "",
        trial_seconds=args.trial_seconds,
    )


def told(outcome: "Outcome", dry_run: bool) -> Iterator[str]:
    """The lines to print."""
    if not outcome.findings.verdicts:
        yield f"kept: version {outcome.challenger} is the champion already"
        return
    overruled = [verdict.rule for verdict in outcome.overruled]
    for verdict in outcome.findings.verdicts:
        word = verdict.verdict
        if verdict in outcome.findings.failed:
            word = "overruled" if verdict.rule in overruled else "kept"
        yield f"{word}: {verdict.rule}: {verdict.reason}"
    for verdict in outcome.refused:
        yield f"--approve cannot overrule {verdict.rule}: a version that was not scored never goes live"
    for place in outcome.places:
        yield f"model card: {place}"
    if not outcome.promotes:
        yield f"version {outcome.challenger} is not promoted; version {outcome.champion or 'none'} stays live"
    elif dry_run:
        yield f"dry run: version {outcome.challenger} would be promoted; nothing was moved"
    elif outcome.entry is not None:
        before = f", was version {outcome.champion}" if outcome.champion else ""
        yield f"promoted: version {outcome.challenger} is the champion (entry {outcome.entry.number}{before})"


def decided(outcome: "Outcome", dry_run: bool, lines: list[str]) -> dict[str, Any]:
    """The decision for programs."""
    return {
        "promoted": outcome.promotes and not dry_run,
        "challenger": outcome.challenger,
        "champion": outcome.champion,
        "lines": lines,
    }


def write(verdict: str, content: dict[str, Any]) -> None:
    """Write the object that was asked for by --verdict."""
    try:
        objects.replace(verdict, json.dumps(content, indent=1) + "\n")
    except DataError as error:
        raise DataError(f"--verdict {verdict}: want an object that can be written: {error}") from error


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    progress.start_logging()
    args.mlflow_uri = arguments.registry(args.mlflow_uri, Path(__file__).with_name("env"))
    verdict = objects.folder_at(args.verdict, "--verdict") if args.verdict else ""
    if verdict:
        write(verdict, {"promoted": False, "lines": []})  # before anything is moved: it may be that it cannot be
    from sentiment.gate import decision

    outcome = decision.promote(settings(args), progress.Progress())
    lines = list(told(outcome, args.dry_run))
    print("\n".join(lines), flush=True)
    if verdict:
        write(verdict, decided(outcome, args.dry_run, lines))
    elif outcome.findings.failed and not outcome.promotes:
        sys.exit(KEPT)


if __name__ == "__main__":
    jobs.run(main)
