"""What the benchmarks share: their arguments, and the JSON file for their figures, without paths of a machine."""

import argparse
import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from benchmarks import processes
from sentiment.signals import EndedBySignalError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
SHARED = ROOT.parent / "shared"
REAL_TWEETS = SHARED / "data/sentiment140/tweets.csv.gz"


def existing(text: str) -> Path:
    """A file that is there."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"want a file, found none at {text!r}")
    return Path(text).resolve()


def new_folder(text: str) -> Path:
    """A folder that is made here, so that nothing of an earlier run is taken for this one's."""
    try:
        Path(text).mkdir(parents=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"want a new folder, got {text!r}: {error.strerror}") from None
    return Path(text).resolve()


def add_data(parser: argparse.ArgumentParser) -> None:
    """The tweets to measure on."""
    default = os.environ.get("DATA") or str(REAL_TWEETS)
    parser.add_argument("--data", type=existing, default=default, help="CSV of tweets (.csv or .csv.gz)")


def add_bulk_tool(parser: argparse.ArgumentParser) -> None:
    """What makes more tweets than there are."""
    default = os.environ.get("BULK_TOOL") or SHARED / "tools/bulk_tweets.py"
    parser.add_argument("--bulk-tool", type=Path, default=default, help="makes large CSVs: --rows N --output FILE")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Where the figures go."""
    parser.add_argument(
        "--json", type=Path, help="file for the figures (default: benchmarks/results/, by name and moment)"
    )


def described(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments as they may be shown to anybody: of a path the last part alone."""
    shown: dict[str, Any] = {}
    for name, value in vars(args).items():
        if name != "json" and value is not None:
            shown[name] = value if isinstance(value, bool | int | float | list) else Path(str(value)).name
    return shown


def end_cleanly(number: int, _frame: object) -> NoReturn:
    """On SIGTERM: an exception, so that whatever was started is ended too."""
    raise EndedBySignalError(number)


class Record:
    """The figures of one benchmark, with the machine as it was before the start."""

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        signal.signal(signal.SIGTERM, end_cleanly)
        began = datetime.now(UTC)
        self.path: Path = args.json or RESULTS / f"{name}-{began:%Y%m%dT%H%M%SZ}.json"
        self.result: dict[str, Any] = {
            "began": began.isoformat(timespec="seconds"),
            "machine": processes.machine(),
            "arguments": described(args),
        }

    def write(self, **figures: Any) -> Path:
        """Write the file with these figures in it; its path."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.result | figures, indent=2) + "\n", encoding="utf-8")
        return self.path
