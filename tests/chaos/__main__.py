"""`make chaos`: every fault of the table against a real stream; one line each, and a non-zero end when one fails."""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from broker import Broker
from services import free_port

from chaos import table
from chaos.place import World
from chaos.zoo import Zoo
from sentiment import progress


def main() -> None:
    """Run the lines asked for and print the table."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", default="", help="names of lines, with commas; all by default")
    parser.add_argument("--seed", type=int, default=42, help="of the random moments")
    parser.add_argument("--kills", type=int, default=25, help="how many random kills")
    parser.add_argument(
        "--keep", default="", help="folder for checkpoints, outputs and logs (default: one that is removed)"
    )
    args = parser.parse_args()
    unknown = [name for name in filter(None, args.only.split(",")) if name not in table.LINES]
    if unknown:
        parser.error(f"--only: want names out of {', '.join(table.LINES)}; got {', '.join(unknown)}")
    names = [name for name in table.LINES if not args.only or name in args.only.split(",")]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nothing is left running
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sentiment-chaos-", ignore_cleanup_errors=True) as temporary:
        folder = Path(args.keep or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        broker = Broker(Path(temporary) / "kafka", free_port(), free_port())
        try:
            broker.start()
            world = World(folder, broker, _zoo(folder), random.Random(args.seed), args.kills)  # noqa: S311
            results = _run(world, names)
        finally:
            broker.stop()
    table.show(results, time.monotonic() - began)
    if not all(result.passed for result in results):
        sys.exit(1)


def _run(world: World, names: list[str]) -> list[table.Result]:
    """The lines, one after another; which one, and that it is still at it, goes to stderr."""
    progress.start_logging()
    steps, results = progress.Progress(), []
    for number, name in enumerate(names, 1):
        with steps.step(f"{name} ({number} of {len(names)})"):
            results.append(table.run(world, name))
    return results


def _zoo(folder: Path) -> Zoo:
    """The models; those of an earlier run in the same --keep folder serve again."""
    print("chaos: making the models", flush=True)
    subprocess.run([sys.executable, "-m", "chaos.zoo", str(folder)], check=True)
    return Zoo(folder)


if __name__ == "__main__":
    main()
