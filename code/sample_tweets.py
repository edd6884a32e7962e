"""Write made-up tweets in Sentiment140's format: the same rows and seed give the same file everywhere."""

import argparse

try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "sample_tweets.py: the package 'sentiment' is missing: submit dist/sample_tweets.py instead, "
        "or add --py-files dist/sentiment.zip (make package writes both)"
    ) from None
import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from sentiment import flags, jobs
from sentiment.sample import NEGATIVE, NEUTRAL, POSITIVE, is_malformed, sample_rows

MOST_ROWS = 5_000_000
"""Three times Sentiment140; the plan of what each row is to be takes 1 GB then."""


def folder(text: str) -> Path:
    """A local folder; a URI is refused, because it would make a folder named after its scheme."""
    if not text or "://" in text:
        raise argparse.ArgumentTypeError(f"want a local folder, got {text!r}")
    return Path(text)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    parser.add_argument("--rows", type=flags.whole(1, MOST_ROWS), default=20000, help="rows to write")
    parser.add_argument("--output", type=folder, required=True, help="local folder for sample_<rows>.csv")
    parser.add_argument("--seed", type=flags.whole(0), default=42, help="another seed, other tweets")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    path: Path = args.output / f"sample_{args.rows}.csv"
    targets = write_csv(path, sample_rows(args.rows, args.seed))
    shares = ", ".join(
        f"{name} {targets[target] / args.rows:.1%}"
        for name, target in (("negative", NEGATIVE), ("positive", POSITIVE), ("neutral", NEUTRAL))
    )
    print(f"{path}: {args.rows} rows: {shares}, malformed {targets['malformed']}")


def write_csv(path: Path, rows: Iterable[list[str]]) -> Counter[str]:
    """Write the rows, every field quoted; the file appears whole or not at all. Rows by target, or "malformed"."""
    targets: Counter[str] = Counter()
    partial = path.with_name(f".{path.name}.partial")  # no reader of *.csv takes it for data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
                for row in rows:
                    writer.writerow(row)
                    targets["malformed" if is_malformed(row) else row[0]] += 1
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise jobs.DataError(f"--output: want a folder to write {path.name} to, got {path.parent}: {error}") from error
    return targets


if __name__ == "__main__":
    jobs.run(main)
