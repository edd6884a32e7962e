"""Compare the predictions of the last time windows with the training profile of the champion: has anything drifted?

Writes report.json (verdict: drift, no drift or too few rows), report.md and report.html. Exit 0 whatever the verdict.
"""

import argparse
import sys
from datetime import UTC, datetime

try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "drift_report.py: the package 'sentiment' is missing: submit dist/drift_report.py instead, "
        "or add --py-files dist/sentiment.zip (make package writes both)"
    ) from None
from sentiment import arguments, flags, hadoop, jobs
from sentiment.drift import cli, windows
from sentiment.progress import Progress, start_logging
from sentiment.session import loading, session

DRIFTED = 3


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument(
        "--input", type=arguments.path, required=True, help="folder of the predictions (Parquet, date=.../)"
    )
    parser.add_argument(
        "--output", type=arguments.path, required=True, help="folder for report.json, report.md and report.html"
    )
    arguments.add_mlflow_uri(parser)
    arguments.add_model_name(parser)
    parser.add_argument("--model-version", type=flags.whole(1), help="version to judge (default: the champion)")
    cli.add_rule(parser)
    parser.add_argument(
        "--until", type=flags.moment, help="end of the last window, ISO 8601, UTC without a zone (default: now)"
    )
    parser.add_argument(
        "--may-be-empty", action="store_true", help="no predictions of any day are too few rows, not a mistake"
    )
    parser.add_argument("--fail-on-drift", action="store_true", help=f"exit with {DRIFTED} if the verdict is drift")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    rule = cli.rule(args)
    spans = windows.spans(args.until or datetime.now(UTC).replace(microsecond=0), rule)
    start_logging()
    steps = Progress()
    with steps.step("reading the training profile"):
        from sentiment import tracking
        from sentiment.drift import profiles

        client = tracking.connect(args.mlflow_uri, make=False)
        profile = profiles.read(client, args.model_name, str(args.model_version or ""))
    with steps.step("starting Spark"), loading("sentiment.drift.report"):
        spark = session("drift_report")
    from sentiment.drift import counting, report

    with steps.step(f"counting the rows of version {profile.version}"), hadoop.telling(f"--input {args.input}"):
        of = (profile.features, profile.model, profile.version)
        counted = counting.count(spark, args.input, spans, *of, may_be_empty=args.may_be_empty)
    verdict = windows.judge(counted, profile.features, rule, profile.version)
    with steps.step("writing the report"):
        report.write(spark, args.output, profile, verdict, rule, args.input)
    print(f"{verdict.verdict}: {verdict.reason}; {args.output.rstrip('/')}/{report.PAGE}")
    if verdict.verdict == windows.DRIFT and args.fail_on_drift:
        sys.exit(DRIFTED)


if __name__ == "__main__":
    jobs.run(main)
