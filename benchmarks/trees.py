"""Our forest and boosted trees beside LightGBM on scikit-learn's TF-IDF: which accuracy after how many seconds.

Same rows, same split. Seconds count from the raw text: features, the linear scores that our trees see, and the fit.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "code")]

from benchmarks import figures, processes, record  # noqa: E402
from benchmarks.contenders import Contenders  # noqa: E402
from benchmarks.figures import FEATURES, TREE_INPUTS, Row  # noqa: E402
from sentiment import arguments, jobs  # noqa: E402

TREES = ("randomforest", "gbt")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    whole = arguments.whole(1)
    record.add_data(parser)
    parser.add_argument("--cores", type=whole, default=2, help="cores for Spark and for LightGBM")
    parser.add_argument("--heap", default="4g", help="driver heap")
    parser.add_argument("--peer-rounds", type=whole, default=1000, help="LightGBM's rounds at most")
    parser.add_argument("--peer-limit", type=whole, default=300, help="seconds after which LightGBM is stopped")
    record.add_json(parser)
    return parser.parse_args(argv)


def peer(bench: Contenders, splits: Path, args: argparse.Namespace) -> dict[str, Any]:
    """LightGBM's steps, its curve of seconds and accuracy, and its peak memory."""
    subprocess.run([str(ROOT / "local/setup.sh"), "bench"], check=True)
    python = ROOT / ".venv-bench/bin/python"
    script = ROOT / "benchmarks/peers/lightgbm_trees.py"
    limits = ("--rounds", args.peer_rounds, "--limit", args.peer_limit, "--threads", args.cores)
    bench.say("LightGBM ...")
    log = bench.work / "lightgbm.log"
    command = [str(python), str(script), "--data", str(splits), *map(str, limits)]
    measured = processes.run(command, log, folder=bench.work, env=bench.env, on_line=bench.say)
    if measured.exit_code:
        raise jobs.DataError(f"LightGBM ended with {measured.exit_code}: {log.read_text()[-1500:]}")
    said = figures.events(measured.lines)
    return {
        "version": next(event["version"] for event in said if event["event"] == "ready"),
        "steps": {event["step"]: event["seconds"] for event in said if event["event"] == "fitted"},
        "curve": [[event["seconds"], event["accuracy"]] for event in said if event["event"] == "after"],
        "accuracy": said[-1]["accuracy"],
        "best_round": said[-1]["best_round"],
        "seconds": measured.seconds,
        "peak_bytes": measured.peak_bytes,
    }


def points(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Seconds from text to fitted classifier, and accuracy, of each of our trees."""
    found = {row.step: row for row in rows}
    before = sum(found[step].seconds for step in (FEATURES, TREE_INPUTS))
    return {
        name: {"seconds": before + found[name].seconds, "accuracy": found[name].accuracy or 0.0}
        for name in TREES
        if name in found
    }


def beside(point: dict[str, float], curve: list[list[float]]) -> dict[str, float | None]:
    """The peer's best accuracy within the seconds of our point, and its seconds to our accuracy; None: never."""
    within = [accuracy for seconds, accuracy in curve if seconds <= point["seconds"]]
    reached = [seconds for seconds, accuracy in curve if accuracy >= point["accuracy"]]
    return {
        "peer_accuracy_by_then": max(within) if within else None,
        "peer_seconds_to_reach": min(reached) if reached else None,
    }


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    written = record.Record("trees", args)
    with tempfile.TemporaryDirectory(prefix="bench-trees-") as folder:
        bench = Contenders(Path(folder), cores=args.cores, heap=args.heap, peer_limit=args.peer_limit)
        splits, _ = bench.splits("trees", args.data, args.heap)
        rows, _ = bench.ours("trees", splits, args.heap, TREES)
        lightgbm = peer(bench, splits, args)
    ours = {name: {**point, **beside(point, lightgbm["curve"])} for name, point in points(rows).items()}
    path = written.write(ours=ours, lightgbm=lightgbm, steps=[asdict(row) for row in rows])
    for name, point in ours.items():
        print(f"{name}: {point['accuracy']:.4f} after {point['seconds']:.1f} s, {point}")
    print(f"LightGBM {lightgbm['accuracy']:.4f}, {lightgbm['steps']}\n{path}")


if __name__ == "__main__":
    jobs.run(main)
