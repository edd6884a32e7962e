"""Report on a stream's predictions: throughput, accuracy where labels exist, distribution, versions, dead letters.

Runs the queries of monitoring/bigquery/ on this machine and writes report.html and report.md; no Spark, no BigQuery.
Exit 1: there are no predictions.
"""

import argparse
import sys
import tempfile
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "code"))
try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit("report.py: the package 'sentiment' is missing: want it in code/ beside monitoring/") from None
from sentiment import flags, jobs
from sentiment.progress import Progress, start_logging

SQL = Path(__file__).resolve().parent / "bigquery"


def day(text: str) -> date:
    """A day as YYYY-MM-DD."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"want a day like 2026-11-21, got {text!r}") from None


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    parser.add_argument(
        "--predictions", type=flags.path, required=True, help="folder of predictions, local or gs:// (date=.../)"
    )
    parser.add_argument(
        "--dead-letters", help="folder of dead letters (default: <predictions>-dead-letters, if it is there)"
    )
    parser.add_argument(
        "--output", type=flags.local_path, required=True, help="local folder for report.html and report.md"
    )
    parser.add_argument("--first-date", type=day, help="first day (default: 30 days up to the last one)")
    parser.add_argument(
        "--last-date", type=day, help="last day (default: the newest that is there and not after tomorrow)"
    )
    parser.add_argument(
        "--max-age-seconds", type=flags.whole(1), default=3600, help="an older newest prediction is called stale"
    )
    args = parser.parse_args(argv)
    if args.first_date and args.last_date and args.first_date > args.last_date:
        parser.error(f"--first-date: want a day not after --last-date {args.last_date}, got {args.first_date}")
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    start_logging()
    steps = Progress()
    from sentiment.monitoring import report

    request = report.Request(
        args.predictions, args.dead_letters or "", args.first_date, args.last_date, args.max_age_seconds, SQL
    )
    with tempfile.TemporaryDirectory(prefix="sentiment-report-") as scratch:
        found = report.make(request, Path(scratch), steps)
    with steps.step("writing the page"):
        page = report.write(found, args.output)
    print("\n".join([f"{found.period}: {found.verdict()}", *found.notes]))
    print(page)


if __name__ == "__main__":
    jobs.run(main)
