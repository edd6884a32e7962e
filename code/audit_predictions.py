"""Check that a stream has written every message once: manifests, Parquet, dead letters and, with a broker, topics.

Exit 1 names the first gap. --hash prints a hash of what was predicted, to compare a replay with the stream.
"""

import argparse
import os
from dataclasses import asdict

try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "audit_predictions.py: the package 'sentiment' is missing: submit dist/audit_predictions.py instead, "
        "or add --py-files dist/sentiment.zip (make package writes both)"
    ) from None
from sentiment import arguments, jobs, progress, storage
from sentiment.serving import audit
from sentiment.session import session


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument("--checkpoint", help="the stream's checkpoint; required without --hash")
    parser.add_argument("--output-path", type=arguments.path, required=True, help="folder of the predictions")
    parser.add_argument("--dead-letter-path", default="", help="folder of the dead letters, if it was moved")
    parser.add_argument(
        "--kafka-bootstrap",
        default=os.environ.get("KAFKA_BOOTSTRAP", ""),
        help="broker, to check the stream's topics too; KAFKA_BOOTSTRAP sets another default",
    )
    parser.add_argument(
        "--kafka-output-bootstrap", help="broker of the output topics, if it is another (default: --kafka-bootstrap)"
    )
    parser.add_argument("--hash", action="store_true", help="print the hash of the predictions and nothing else")
    parser.add_argument("--report", help="JSON file to write too, local or on gs://, for serving_report.py --audit")
    args = parser.parse_args(argv)
    if args.hash and args.report:
        parser.error("--report: want the audit itself, found --hash with it")
    if not args.hash and not args.checkpoint:
        parser.error("--checkpoint: want the stream's checkpoint, found none (only --hash goes without)")
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    progress.start_logging()
    spark = session("audit_predictions")
    if args.hash:
        print(audit.digest(spark, args.output_path))
        return
    brokers = (args.kafka_bootstrap, args.kafka_output_bootstrap or "")
    found = audit.audit(spark, args.checkpoint, args.output_path, args.dead_letter_path, *brokers)
    if args.report:
        content = {"checkpoint": args.checkpoint, "output": args.output_path, **asdict(found)}
        storage.write_json(spark, args.report, content)
    for name, value in found.checked.items():
        print(f"{name:<18} {value:>12,}")
    if found.gaps:
        for gap in found.gaps[1:]:
            print(f"also: {gap}")
        raise jobs.DataError(found.gaps[0])
    print("every message once")


if __name__ == "__main__":
    jobs.run(main)
