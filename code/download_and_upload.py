"""Download a data set from Kaggle, unzip it, and copy the folder to a bucket; what is there already is left alone."""

import argparse

try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "download_and_upload.py: the package 'sentiment' is missing: submit dist/download_and_upload.py instead, "
        "or add --py-files dist/sentiment.zip (make package writes both)"
    ) from None
import re
from pathlib import Path

from sentiment import flags, jobs


def dataset(text: str) -> str:
    """A data set as Kaggle names it, with or without the number of a version."""
    if not re.fullmatch(r"[\w-]+/[\w-]+(/\d+)?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"want OWNER/NAME or OWNER/NAME/VERSION, got {text!r}")
    return text


def folder(text: str) -> Path:
    """A local folder; a URI is refused, because it would make a folder named after its scheme."""
    if not text or "://" in text:
        raise argparse.ArgumentTypeError(f"want a local folder, got {text!r}")
    return Path(text)


def bucket(text: str) -> str:
    """The name of a bucket."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", text):
        raise argparse.ArgumentTypeError(f"want the name of a bucket, without gs:// and folders, got {text!r}")
    return text


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    parser.add_argument("--dataset", type=dataset, default="kazanova/sentiment140", help="OWNER/NAME on Kaggle")
    parser.add_argument(
        "--output-dir", type=folder, default="data_raw/sentiment140", help="local folder for the archive or its files"
    )
    parser.add_argument("--unzip", action="store_true", help="unzip the archive into the folder and remove it")
    parser.add_argument(
        "--max-unzipped-gb", type=flags.above_zero, default=10.0, help="refuse an archive of more, in GB of 10^9 bytes"
    )
    parser.add_argument("--gcs-bucket", type=bucket, help="copy all files of the folder there; without it, do not")
    parser.add_argument("--gcs-prefix", default="data_raw/sentiment140", help="folder in the bucket; empty: none")
    parser.add_argument("--workers", type=flags.whole(1), default=8, help="files that are uploaded at once")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done and change nothing")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        from sentiment.transfer import steps
    except ModuleNotFoundError as missing:
        raise jobs.DataError(f"want the package {missing.name}, found it not installed (requirements.txt)") from None
    steps.run(
        steps.Wanted(
            dataset=args.dataset,
            folder=args.output_dir,
            unzip=args.unzip,
            max_gb=args.max_unzipped_gb,
            bucket=args.gcs_bucket or "",
            prefix=args.gcs_prefix.strip("/"),
            workers=args.workers,
        ),
        dry=args.dry_run,
    )


if __name__ == "__main__":
    jobs.run(main)
