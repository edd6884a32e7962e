"""Make a version that was live before live again, and write down who did it and why.

Running streams follow within their reload interval. Exit 1: nothing moved, one line says why.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "code"))
try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit("rollback-model.py: the package 'sentiment' is missing: want it in code/ beside ci-cd/") from None
from sentiment import arguments, flags, jobs, progress
from sentiment.jobs import DataError
from sentiment.live.entries import ROLLED_BACK, Entry, named
from sentiment.roles import PREVIOUS

if TYPE_CHECKING:
    from sentiment.live.ledger import Ledger


def target(text: str) -> str:
    """`previous` or a version's number."""
    if text == PREVIOUS:
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"want {PREVIOUS} or a version's number, got {text!r}")
    return str(int(text))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    arguments.add_live_model(parser)
    parser.add_argument("--to", type=target, default=PREVIOUS, help=f"{PREVIOUS}, or a version that was live before")
    parser.add_argument("--reason", type=flags.reason, required=True, help="why, in words; the ledger keeps it")
    parser.add_argument("--dry-run", action="store_true", help="say what would move, and move nothing")
    args = parser.parse_args(argv)
    if not args.reason:
        parser.error("--reason: want a reason in words, got nothing")
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    progress.start_logging()
    args.mlflow_uri = arguments.registry(args.mlflow_uri, Path(__file__).with_name("env"))
    from sentiment import tracking
    from sentiment.live.opening import open_ledger

    ledger = open_ledger(tracking.connect(args.mlflow_uri, make=False), args.model_name, args.ledger)
    ledger.live()  # of a model that is not there nothing is to be written
    live = ledger.settle(record=not args.dry_run)
    known = ledger.foreseen() if args.dry_run else ledger.entries()
    to = choose(ledger, known, live, args.to)
    previous = ledger.before(to, known=known)
    if args.dry_run:
        print(f"{args.model_name}: would move from {named(live)} to version {to}; previous: {named(previous)}")
        return
    entry = ledger.move(ROLLED_BACK, to, live=live, seen=len(known), previous=previous, reason=args.reason, evidence={})
    print(f"{args.model_name}: moved from {named(live)} to version {to} (entry {entry.number})")
    print(f"alias {PREVIOUS}: {named(entry.previous)}")
    print("running streams follow within their --reload-interval-seconds")


def choose(ledger: "Ledger", known: list[Entry], live: str | None, wanted: str) -> str:
    """The version to go back to; DataError unless it was live before, is not live now and is still there."""
    to: str | None = wanted
    if wanted == PREVIOUS:
        to = known[-1].previous if known else None
        if not ledger.aliases.exists(to):
            to = ledger.before(live, known=known) or to  # further back than what is gone
    if to is None:
        raise DataError(
            f"--to {PREVIOUS}: want a version of {ledger.model} that was live before {named(live)}, found none"
        )
    if to == live:
        raise DataError(f"--to {wanted}: version {to} of {ledger.model} is live already")
    before = {entry.to_version for entry in known} | {known[-1].previous if known else None}
    if to not in before:
        raise DataError(
            f"--to {wanted}: want a version of {ledger.model} that was live before, found one that never was: "
            "promote-model.py makes it live"
        )
    if not ledger.aliases.exists(to):
        raise DataError(f"--to {wanted}: want version {to} of {ledger.model} in the registry, found none")
    return to


if __name__ == "__main__":
    jobs.run(main)
