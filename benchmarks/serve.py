"""Rows per second and latency of the stream, beside what a user would write instead: same run, same topic.

Throughput is taken from the times at which a batch was committed, the first batches left out, for everybody alike.
Prints one table and writes JSON to benchmarks/results/.
"""

import argparse
import itertools
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "code"), str(ROOT / "local")]

from benchmarks import latency, record  # noqa: E402
from benchmarks.serving import MODEL, Bench  # noqa: E402
from sentiment import arguments, jobs, tracking  # noqa: E402

DROPPED = 5
CORES = 2
OURS, OURS_KAFKA = "ours: Parquet", "ours: Parquet and Kafka"
LIMIT, TRANSFORM, UDF = "no model, Parquet", "plain transform, append", "mlflow spark_udf"
TRANSFORM_KAFKA, SCIKIT = "plain transform, append and Kafka", "kafka-python and scikit-learn, Parquet"
PEERS = {LIMIT: "no-model", TRANSFORM: "transform", TRANSFORM_KAFKA: "transform-kafka", UDF: "spark-udf"}
PARTS = ("throughput", "udf", "latency", "swaps")


def throughput(bench: Bench, name: str, data: Path) -> float:
    """Rows per second of one contender, its first batches left out."""
    place = bench.work / f"place-{time.monotonic_ns()}"
    topic = ("--bootstrap", bench.broker.bootstrap, "--topic", bench.topic, "--per-batch", bench.per_batch)
    if name in (OURS, OURS_KAFKA):
        sink = ("--write-kafka", "--kafka-output-topic", "predictions") if name == OURS_KAFKA else ()
        limit = ("--available-now", "--max-offsets-per-trigger", bench.per_batch)
        bench.run(name, *bench.stream(place, bench.topic, *limit, *sink))
    elif name == SCIKIT:
        script = ROOT / "benchmarks/peers/scikit_stream.py"
        model = ("--model", bench.prepared / "scikit.joblib", "--data", data)
        bench.run(name, script, *topic, *model, "--work", place)
    else:
        script = ROOT / "benchmarks/peers/streams.py"
        bench.run(name, script, PEERS[name], *topic, "--model", bench.model_folder(), "--work", place)
    found = rows_per_second(place, bench.rows, bench.per_batch)
    bench.say(f"{name}: {found:,.0f} rows per second")
    shutil.rmtree(place / "out")
    return found


def live(bench: Bench, seconds: int, rate: int) -> dict[str, float]:
    """Latency from Kafka to Kafka in seconds, p50, p95 and p99, at `rate` messages per second, trigger 0."""
    place = bench.work / "live"
    more = ("--batch-interval-seconds", 0, "--write-kafka", "--kafka-output-topic", "live-predictions")
    bench.say(f"latency at {rate} messages per second, {seconds} s ...")
    with bench.background("latency", bench.stream(place, "live", *more)) as process:
        return latency.measure(bench.broker.bootstrap, "live", "live-predictions", rate, seconds, process)


def swaps(bench: Bench, count: int) -> dict[str, float]:
    """Seconds of batches with a swap in them against the others, in one stream."""
    place, client = bench.work / "swaps", tracking.client(bench.uri)
    first = client.get_model_version_by_alias(MODEL, "champion")
    second = client.create_model_version(MODEL, str(first.source), first.run_id)
    versions = [str(first.version), str(second.version)]
    more = ("--batch-interval-seconds", 0, "--reload-interval-seconds", 1, "--max-offsets-per-trigger", 1000)
    bench.say(f"{count} swaps under load ...")
    with bench.background("swaps", bench.stream(place, bench.topic, *more)) as process:
        manifests = latency.swap_under_load(place / "checkpoint/manifests", client, MODEL, versions, count, process)
    pairs = list(itertools.pairwise(manifests))[DROPPED:]
    swapped = [new["seconds"]["total"] for old, new in pairs if old["model_version"] != new["model_version"]]
    others = [new["seconds"]["total"] for old, new in pairs if old["model_version"] == new["model_version"]]
    return {
        "swaps": len(swapped),
        "median_with_swap": statistics.median(swapped),
        "median_others": statistics.median(others),
        "ratio": statistics.median(swapped) / statistics.median(others),
        "worst_with_swap": max(swapped),
    }


def rows_per_second(place: Path, rows: int, per_batch: int) -> float:
    """From the times of a query's commits; the first DROPPED batches and a last one that is not full do not count."""
    commits = sorted((int(path.name), path.stat().st_mtime) for path in (place / "checkpoint/commits").glob("[0-9]*"))
    times = [moment for _, moment in commits]
    if len(times) < DROPPED + 3:
        raise jobs.DataError(f"{place}: want {DROPPED + 3} batches or more, found {len(times)}")
    last = len(times) - (1 if rows % per_batch else 0) - 1
    return (last - DROPPED + 1) * per_batch / (times[last] - times[DROPPED - 1])


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    whole = arguments.whole(1)
    record.add_data(parser)
    parser.add_argument("--rows", type=whole, default=300_000, help="messages in the topic")
    parser.add_argument("--per-batch", type=whole, default=10_000, help="messages per batch")
    parser.add_argument("--repeat", type=whole, default=1, help="runs of everybody; the table shows medians")
    parser.add_argument("--live-seconds", type=whole, default=90, help="seconds of the latency measurement")
    parser.add_argument("--rate", type=whole, default=500, help="messages per second for the latency")
    parser.add_argument("--swaps", type=whole, default=20, help="model swaps to measure")
    parser.add_argument(
        "--skip", type=arguments.one_of(PARTS), default=[], help=f"parts to leave out: {', '.join(PARTS)}"
    )
    parser.add_argument("--prepared", type=Path, help="folder of the registered model; used again if it is there")
    record.add_json(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    written = record.Record("serve", args)
    result: dict[str, Any] = {"cores": CORES}
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as folder:
        bench = Bench(Path(folder), args.rows, args.per_batch, args.prepared)
        try:
            bench.prepare(args.data)
            if "throughput" not in args.skip:
                names = [LIMIT, OURS, OURS_KAFKA, TRANSFORM, TRANSFORM_KAFKA, SCIKIT]
                names += [] if "udf" in args.skip else [UDF]
                runs: dict[str, list[float]] = {name: [] for name in names}
                for number in range(args.repeat):
                    for name in names:
                        if name != UDF or number == 0:  # a minute and more a run, and far from all others
                            runs[name].append(throughput(bench, name, args.data))
                result["rows_per_second"] = {name: statistics.median(values) for name, values in runs.items()}
                result["runs"] = runs
            if "latency" not in args.skip:
                result["latency_seconds"] = live(bench, args.live_seconds, args.rate)
            if "swaps" not in args.skip:
                result["swaps"] = swaps(bench, args.swaps)
        finally:
            bench.broker.stop()
    path = written.write(**result)
    show(result)
    print(f"\n{path}")


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    speeds = result.get("rows_per_second", {})
    if speeds:
        print(f"\n{'':<40} {'rows/s':>9} {'of the limit':>13}")
    for name, value in speeds.items():
        print(f"{name:<40} {value:>9,.0f} {value / speeds[LIMIT]:>13.2f}")
    if "latency_seconds" in result:
        latencies = result["latency_seconds"]
        figures = "  ".join(f"{name} {value:.2f} s" for name, value in latencies.items() if name != "messages")
        print(f"\nlatency, Kafka to Kafka: {figures}  ({latencies['messages']:,.0f} messages)")
    if "swaps" in result:
        print("swaps: " + "  ".join(f"{name} {value:.3g}" for name, value in result["swaps"].items()))


if __name__ == "__main__":
    jobs.run(main)
