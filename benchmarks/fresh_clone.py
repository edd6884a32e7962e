"""A fresh clone to its first report by `make run`: seconds, and megabytes on the disk and over the line.

The clone starts with an empty cache of packages; then its environment is made once more with the cache filled. What
came over the line is what the machine's interfaces received meanwhile, whoever received it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "code")]

import psutil  # noqa: E402

from benchmarks import record  # noqa: E402
from sentiment import arguments, jobs  # noqa: E402


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument("--train-args", default="", help="TRAIN_ARGS for make run")
    parser.add_argument("--without-tests", action="store_true", help="leave `make test` out")
    record.add_json(parser)
    return parser.parse_args(argv)


def received() -> int:
    """Bytes that came over the machine's interfaces, its own loop left out."""
    counters = psutil.net_io_counters(pernic=True)
    return sum(one.bytes_recv for name, one in counters.items() if not name.startswith("lo"))


def mebibytes(folder: Path) -> float:
    """What a folder takes on the disk; a file that has several names counts once."""
    blocks = {}
    for place, _, names in os.walk(folder):
        for name in names:
            found = Path(place, name).lstat()
            blocks[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(blocks.values()) / 2**20


def made(clone: Path, env: dict[str, str], *words: str) -> float:
    """Wall seconds of one make target in the clone; what it says goes to the terminal."""
    began = time.monotonic()
    done = subprocess.run(["make", *words], cwd=clone, env=env, check=False)
    if done.returncode:
        raise jobs.DataError(f"make {words[0]} in a fresh clone ended with {done.returncode}")
    seconds = time.monotonic() - began
    print(f"\nmake {' '.join(words)}: {seconds:.0f} s\n", flush=True)
    return seconds


def environment(cache: Path, train_args: str) -> dict[str, str]:
    """What the clone's make sees: this process's environment without what belongs to the make that runs it."""
    own = ("VIRTUAL_ENV", "ARGS", "DATA", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTHONPATH")
    env = {key: value for key, value in os.environ.items() if key not in own}
    return env | {"UV_CACHE_DIR": str(cache), "PIP_NO_CACHE_DIR": "1", "TRAIN_ARGS": train_args}


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    written = record.Record("fresh-clone", args)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-clone-") as folder:
        clone, cache = Path(folder, "clone"), Path(folder, "cache")
        env = environment(cache, args.train_args)
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
        before = received()
        figures["setup_seconds"] = made(clone, env, "setup")
        figures["received_mib"] = (received() - before) / 2**20
        figures["environment_mib"] = mebibytes(clone / ".venv")
        figures["run_seconds"] = made(clone, env, "run")
        figures["clone_mib"] = mebibytes(clone) - figures["environment_mib"]
        shutil.rmtree(clone / ".venv")
        figures["setup_again_seconds"] = made(clone, env, "setup")
        if not args.without_tests:
            figures["test_seconds"] = made(clone, env, "test")
    path = written.write(**figures)
    print(f"\n{figures}\n{path}")


if __name__ == "__main__":
    jobs.run(main)
