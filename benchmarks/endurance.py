"""The stream over a long way: a backlog drained (`backlog`), or a steady rate for a long time (`soak`).

All promises on, Parquet and Kafka. Resident memory of the driver's Python process and of its JVM is looked at every
second; what the batches took stands in their manifests. Slopes are those of a least-squares line, the first third left
out. A JVM keeps the pages that its heap once took, so the soak also asks it what is alive, warm and at the end.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "code"), str(ROOT / "local")]

import psutil  # noqa: E402

from benchmarks import latency, processes, record  # noqa: E402
from benchmarks.serving import Bench  # noqa: E402
from sentiment import arguments, jobs  # noqa: E402

EVERY_SECONDS = 1.0
TOLD_SECONDS = 60.0
SHOWN = 120
"""Points of a curve that are kept."""
WARM = 0.1
"""Part of a soak after which the first look at the live heap is taken: its full collection empties the heap, so it
comes well before the thirds that are compared."""

Sample = dict[str, float]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    whole = arguments.whole(1)
    parser.add_argument("what", choices=["backlog", "soak"], help="which of the two")
    record.add_data(parser)
    parser.add_argument("--rows", type=whole, default=1_000_000, help="messages of the backlog")
    parser.add_argument("--per-batch", type=whole, default=10_000, help="messages per batch of the backlog")
    parser.add_argument("--minutes", type=whole, default=60, help="minutes of the soak")
    parser.add_argument("--rate", type=whole, default=2_000, help="messages per second of the soak")
    parser.add_argument("--interval", type=arguments.whole(0), default=10, help="seconds between batches of the soak")
    parser.add_argument("--heap", default="2g", help="driver heap")
    parser.add_argument("--prepared", type=Path, help="folder of the registered model; used again if it is there")
    record.add_json(parser)
    return parser.parse_args(argv)


def is_jvm(process: psutil.Process) -> bool:
    """Whether it is Java's; psutil.Error once it has ended."""
    return str(process.name()).startswith("java")


def memory(stream: latency.Background) -> dict[str, float]:
    """Resident MiB of the stream's Python processes and of its JVM."""
    found = {"python_mib": 0.0, "jvm_mib": 0.0}
    for process in processes.tree(stream.process.pid):
        try:
            key = "jvm_mib" if is_jvm(process) else "python_mib"
            found[key] += process.memory_info().rss / 2**20
        except psutil.Error:  # it ended between the listing and this look
            continue
    return found


def jvms(stream: latency.Background) -> set[int]:
    """Process ids of the stream's JVMs."""
    found = set()
    for process in processes.tree(stream.process.pid):
        with suppress(psutil.Error):  # it ended between the listing and this look
            if is_jvm(process):
                found.add(process.pid)
    return found


def live_mib(stream: latency.Background) -> float:
    """MiB of the objects in the JVM's heap that something still refers to, after a full collection.

    Raises:
        jobs.DataError: without jcmd, which comes with a JDK and not with a JRE; or when there is not one JVM.
    """
    found = jvms(stream)
    if len(found) != 1:
        raise jobs.DataError(f"want one JVM under process {stream.process.pid}, found {len(found)}")
    [jvm] = found
    try:
        told = subprocess.run(
            ["jcmd", str(jvm), "GC.class_histogram"], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise jobs.DataError(f"jcmd could not look into JVM {jvm}: {error}; it is part of a JDK") from None
    total = told.stdout.splitlines()[-1].split()  # "Total", objects, bytes
    return int(total[2]) / 2**20


def watch(
    stream: latency.Background, place: Path, say: Callable[[str], None], began: float, until: float = math.inf
) -> list[Sample]:
    """Memory and batches done once a second, up to `until` seconds after `began` or to the stream's own end.

    Every minute `say` tells how far it is.
    """
    commits = place / "checkpoint/commits"
    samples: list[Sample] = []
    told = time.monotonic()
    while stream.process.poll() is None and time.monotonic() - began < until:
        batches = sum(path.name.isdecimal() for path in commits.iterdir()) if commits.is_dir() else 0
        now = time.monotonic()
        samples.append({"seconds": round(now - began, 1), "batches": float(batches), **memory(stream)})
        if now - told >= TOLD_SECONDS:
            told = now
            say("after {seconds:.0f} s: {batches:.0f} batches, JVM {jvm_mib:.0f} MiB".format(**samples[-1]))
        time.sleep(EVERY_SECONDS)
    return samples


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the least-squares line through them; 0 for fewer than three."""
    if len(points) < 3:
        return 0.0
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def halves(points: Sequence[tuple[float, float]]) -> dict[str, float]:
    """The medians of the middle and the last third: their ratio is 1 for what stays flat."""
    third = max(1, len(points) // 3)
    middle, last = (statistics.median(y for _, y in part) for part in (points[third : 2 * third], points[-third:]))
    return {"middle": middle, "last": last, "ratio": last / middle}


def flatness(samples: Sequence[Sample]) -> dict[str, Any]:
    """How memory went, the first third left out; slopes in MiB per hour."""
    late = samples[len(samples) // 3 :]
    found: dict[str, Any] = {}
    for key in ("jvm_mib", "python_mib"):
        found[key] = halves([(sample["seconds"], sample[key]) for sample in samples])
        found[key]["slope_per_hour"] = slope([(sample["seconds"] / 3600, sample[key]) for sample in late])
        found[key]["peak"] = max(sample[key] for sample in samples)
    return found


def thinned(samples: list[Sample]) -> list[Sample]:
    """At most SHOWN of them, evenly."""
    step = max(1, len(samples) // SHOWN)
    return [{key: round(value, 1) for key, value in sample.items()} for sample in samples[::step]]


def manifests(place: Path) -> list[dict[str, Any]]:
    """Of all batches, in order."""
    paths = sorted((place / "checkpoint/manifests").glob("[0-9]*.json"), key=lambda path: int(path.stem))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def backlog(bench: Bench, args: argparse.Namespace) -> dict[str, Any]:
    """All that waits in the topic, as fast as it goes."""
    place = bench.work / "backlog"
    more = ("--available-now", "--max-offsets-per-trigger", args.per_batch)
    sink = ("--write-kafka", "--kafka-output-topic", "predictions")
    bench.say(f"a backlog of {args.rows:,} messages ...")
    with bench.background("backlog", bench.stream(place, bench.topic, *more, *sink)) as stream:
        samples = watch(stream, place, bench.say, time.monotonic())
        stream.process.wait(60)
    if stream.process.returncode:
        raise jobs.DataError(f"the stream ended with {stream.process.returncode}: {stream.log.read_text()[-1500:]}")
    told = manifests(place)
    rows = sum(manifest["rows_in"] for manifest in told)
    if rows != args.rows:
        raise jobs.DataError(f"want manifests of {args.rows:,} rows, found {rows:,}")
    commits = sorted(path.stat().st_mtime for path in (place / "checkpoint/commits").glob("[0-9]*"))
    warm = min(5, len(commits) // 2)
    late = sum(manifest["rows_in"] for manifest in told[warm:])
    per_second = late / (commits[-1] - commits[warm - 1])
    return {"rows": rows, "batches": len(told), "rows_per_second": per_second, **remembered(samples, told)}


def soak(bench: Bench, args: argparse.Namespace) -> dict[str, Any]:
    """A steady rate; what came in, the batches' seconds, files per hour."""
    place, wanted = bench.work / "soak", args.minutes * 60.0
    more = ("--batch-interval-seconds", args.interval, "--write-kafka", "--kafka-output-topic", "live-predictions")
    bench.say(f"{args.rate:,} messages per second for {args.minutes} minutes ...")
    with (
        bench.background("soak", bench.stream(place, "live", *more)) as stream,
        latency.Feed(bench.broker.bootstrap, "live", args.rate) as feed,
    ):
        began = time.monotonic()
        samples: list[Sample] = []
        live: list[float] = []
        for until in (WARM * wanted, wanted):
            samples += watch(stream, place, bench.say, began, until)
            stream.check()
            live.append(live_mib(stream))
    told = manifests(place)
    files = sum(1 for _ in (place / "out").glob("date=*/*.parquet"))
    hours = samples[-1]["seconds"] / 3600
    found = {
        "minutes": args.minutes,
        "interval_seconds": args.interval,
        "sent": feed.count,
        "rows": sum(manifest["rows_in"] for manifest in told),
        "batches": len(told),
        "files": files,
        "files_per_hour": files / hours,
        "live_mib": {"warm": live[0], "end": live[1], "ratio": live[1] / live[0]},
    }
    return found | remembered(samples, told)


def remembered(samples: list[Sample], told: list[dict[str, Any]]) -> dict[str, Any]:
    """Memory and batch seconds over time."""
    seconds = [(float(number), manifest["seconds"]["total"]) for number, manifest in enumerate(told)]
    late = seconds[len(seconds) // 3 :]
    return {
        "memory": flatness(samples),
        "batch_seconds": {**halves(seconds), "slope_per_100_batches": 100 * slope(late)},
        "samples": thinned(samples),
        "batch_curve": [round(value, 3) for _, value in seconds[:: max(1, len(seconds) // SHOWN)]],
    }


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    written = record.Record(args.what, args)
    with tempfile.TemporaryDirectory(prefix="bench-endurance-") as folder:
        bench = Bench(Path(folder), args.rows if args.what == "backlog" else 1, args.per_batch, args.prepared)
        bench.env["SENTIMENT_DRIVER_MEMORY"] = args.heap
        try:
            bench.prepare(args.data)
            found = backlog(bench, args) if args.what == "backlog" else soak(bench, args)
        finally:
            bench.broker.stop()
    path = written.write(**found)
    print(json.dumps({key: value for key, value in found.items() if key not in ("samples", "batch_curve")}, indent=1))
    print(path)


if __name__ == "__main__":
    jobs.run(main)
