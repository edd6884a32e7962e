"""What was live from when to when, by whom, why, and with which figures; changes nothing.

--at answers for one moment; --check looks for predictions whose model version no entry of the ledger explains.
Exit 1: there is no answer, or there are such predictions.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "code"))
try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit("model-history.py: the package 'sentiment' is missing: want it in code/ beside ci-cd/") from None
from sentiment import arguments, flags, jobs, progress
from sentiment.jobs import DataError

if TYPE_CHECKING:
    from sentiment.live.history import History

TEXT, JSON, HTML = "text", "json", "html"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    arguments.add_live_model(parser)
    parser.add_argument("--format", choices=[TEXT, JSON, HTML], default=TEXT, help="html: one page with a timeline")
    parser.add_argument("--output", type=Path, help="file to write instead of the screen; html needs one")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--at",
        type=flags.moment,
        help="say what was live at this moment (ISO 8601; UTC without a zone; a date: its midnight)",
    )
    what.add_argument(
        "--check", type=flags.path, help="Parquet folder of predictions to compare with the ledger (starts Spark)"
    )
    parser.add_argument(
        "--grace-seconds",
        type=arguments.whole(0, flags.MOST_INT),
        default=600,
        help="with --check: how long a version may still be used after it was live; "
        "more than the streams' reload interval",
    )
    parser.add_argument(
        "--max-lag-seconds",
        type=arguments.whole(0, flags.MOST_INT),
        default=3600,
        help="with --check: how long a message may have waited before it was scored: ingest_time is its source's clock",
    )
    args = parser.parse_args(argv)
    if args.format == HTML and (args.at or not args.output):
        parser.error("--format html: want --output FILE and no --at with it")
    if args.at and args.at > datetime.now(UTC):
        parser.error(f"--at: want a moment that is not in the future, got {args.at.isoformat()}")
    if args.check and (args.format != TEXT or args.output):
        parser.error("--check: want neither --format nor --output with it")
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    progress.start_logging()
    args.mlflow_uri = arguments.registry(args.mlflow_uri, Path(__file__).with_name("env"))
    from sentiment import tracking
    from sentiment.live import history, history_text
    from sentiment.live.opening import open_ledger

    client = tracking.connect(args.mlflow_uri, make=False)
    ledger = open_ledger(client, args.model_name, args.ledger)
    found = history.read(client, ledger, with_metrics=not args.check)
    if found.disagreement:
        print(f"model-history.py: warning: {found.disagreement}", file=sys.stderr, flush=True)
    if not found.spans:
        raise DataError(f"--ledger {found.ledger}: want entries of {args.model_name}, found none")
    if args.check:
        check(found, args.check, args.grace_seconds, args.max_lag_seconds)
    elif args.at:
        write(history_text.answer(found, args.at, args.format == JSON), args.output)
    else:
        write(rendered(found, args.format), args.output)


def rendered(found: "History", form: str) -> str:
    """The whole history in one of the formats."""
    from sentiment.live import history_text

    if form == HTML:
        from sentiment.live import history_page

        return history_page.page(found)
    return history_text.to_json(found) if form == JSON else history_text.table(found)


def write(text: str, output: Path | None) -> None:
    """To the screen, or to a file that is named there."""
    if output is None:
        print(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"--output {output}: want a file that can be written: {error.strerror}") from error
    print(output)


def check(found: "History", predictions: str, grace_seconds: int, lag_seconds: int) -> None:
    """Compare predictions with the ledger and print what came of it."""
    from sentiment import hadoop
    from sentiment.live import history_check
    from sentiment.session import session

    spark = session("model-history")
    with hadoop.telling(f"--check {predictions}"):
        result = history_check.check(spark, found, predictions, grace_seconds, lag_seconds)
    print(f"rows checked         {result.checked:>12,}")
    print(f"rows of other models {result.others:>12,}")
    print(f"rows unexplained     {result.unexplained:>12,}")
    for line in result.first:
        print(line)
    if result.unexplained:
        raise DataError(
            f"--check {predictions}: {result.unexplained:,} of {result.checked:,} rows of {found.model} name a version "
            "that no entry of the ledger explains"
        )
    print("every row explained")


if __name__ == "__main__":
    jobs.run(main)
