"""Say how streams are doing from what they leave behind (no Spark, no driver asked), or ask one to end.

Exit 0: all are healthy; 3: one is degraded; 4: one is down; 1: one cannot be read. docs/operate.md has the rules.
"""

import argparse

try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "serving_report.py: the package 'sentiment' is missing: submit dist/serving_report.py instead, "
        "or add --py-files dist/sentiment.zip (make package writes both)"
    ) from None
import sys
import time
from datetime import UTC, datetime

from sentiment import flags, jobs, objects, progress
from sentiment.health import cli, drain, report, verdict
from sentiment.jobs import DataError

REPORT, DRAIN = "report", "drain"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    parser.add_argument("--action", choices=[REPORT, DRAIN], default=REPORT, help="report, or ask the streams to end")
    cli.add_streams(parser)
    parser.add_argument("--report", help="folder for report.json, report.md and report.html, local or on gs://")
    parser.add_argument("--history-hours", type=flags.whole(1), default=24, help="how far back the plots go")
    parser.add_argument(
        "--check-files", type=flags.whole(0), default=50, help="so many of the newest Parquet files are opened"
    )
    cli.add_limits(parser)
    parser.add_argument(
        "--wait-seconds", type=flags.whole(0), default=600, help="how long a drain may take; 0: only ask for it"
    )
    args = parser.parse_args(argv)
    if args.action == DRAIN and args.report:
        parser.error("--report: want --action report with it, found drain")
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    progress.start_logging()
    streams, limits = cli.streams(args), cli.limits(args)
    if args.action == DRAIN:
        drain.drain(streams, args.wait_seconds, limits.lease_seconds, print)
        return
    folder = objects.folder_at(args.report, "--report") if args.report else ""
    window = args.history_hours * 3600.0
    told = report.tell_all(streams, limits, window, args.check_files, time.time())
    state = verdict.worst([each.verdict for each in told])
    if folder:
        from sentiment.health import page

        page.write(folder, told, limits, state, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
    print(report.text(told))
    if state == verdict.UNREADABLE:
        unread = [each.verdict for each in told if each.verdict.state == state]
        raise DataError("; ".join(reason for each in unread for reason in each.reasons))
    sys.exit(verdict.EXIT_CODES[state])


if __name__ == "__main__":
    jobs.run(main)
