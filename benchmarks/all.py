"""Run all benchmarks, one after another, each in a process of its own: `make bench`.

The figures go to one JSON file, written after each section: what is stopped goes on with `--resume FILE`. At the end
they are shown beside the published ones, and docs/performance.md is made from them. The machine should do nothing else
meanwhile; its load before each section is kept.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "code")]

from benchmarks import performance_page, processes, record  # noqa: E402
from benchmarks.sections import NAMES, SECTIONS, Section  # noqa: E402
from sentiment import arguments, jobs  # noqa: E402

FAILED, DONE = "failed", "done"
PATIENCE = 120


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    whole = arguments.whole(1)
    record.add_data(parser)
    record.add_bulk_tool(parser)
    parser.add_argument(
        "--only", type=arguments.one_of(NAMES), default=",".join(NAMES), help="sections, comma-separated"
    )
    parser.add_argument(
        "--resume", type=record.existing, help="go on with this file of figures: sections done there are kept"
    )
    parser.add_argument("--again", action="store_true", help="with --resume: do the sections of --only once more")
    parser.add_argument(
        "--short", action="store_true", help="every section in its short form, whose figures mean nothing"
    )
    parser.add_argument(
        "--peer-limit", type=whole, default=600, help="seconds after which a fit of plain Spark's is stopped"
    )
    parser.add_argument("--soak-minutes", type=whole, default=60, help="minutes of the soak")
    parser.add_argument("--more", default="", help="further arguments for the script of a single section")
    parser.add_argument("--no-page", action="store_true", help="do not write docs/performance.md")
    args = parser.parse_args(argv)
    if args.more and len(args.only) != 1:
        parser.error(f"--more: want a single section in --only, got {len(args.only)}")
    return args


def command(section: Section, args: argparse.Namespace, figures: Path, model: Path) -> list[str]:
    """What runs one section."""
    told = {"peer_limit": args.peer_limit, "soak_minutes": args.soak_minutes, "model": model}
    words = [word.format(**told) for word in section.full]
    data = ["--data", str(args.data)] if section.data else []
    more = [*(section.short if args.short else ()), *shlex.split(args.more)]
    return [sys.executable, str(ROOT / "benchmarks" / section.script), *words, *more, *data, "--json", str(figures)]


def measure(section: Section, args: argparse.Namespace, model: Path) -> dict[str, Any]:
    """Run one section to its end; its figures, or the line that says why there are none."""
    entry: dict[str, Any] = {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "short": args.short,
        "load_before": round(os.getloadavg()[0], 2),
    }
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        figures, log = Path(folder, "figures.json"), Path(folder, "stderr")
        env = {**os.environ, "BULK_TOOL": str(args.bulk_tool)}
        with log.open("wb") as err:
            code = ended(subprocess.Popen(command(section, args, figures, model), stderr=err, env=env))
        entry["seconds"] = round(time.monotonic() - began, 1)
        if code == 0 and figures.is_file():
            return {**entry, "outcome": DONE, "figures": json.loads(figures.read_text(encoding="utf-8"))}
        said = log.read_text(encoding="utf-8", errors="replace").strip()
    print(said[-3000:], file=sys.stderr)
    return {**entry, "outcome": FAILED, "exit_code": code}


def ended(process: subprocess.Popen[bytes]) -> int:
    """Its exit code; if we are stopped, it is told to end, and gets the time to end what it has started."""
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)


def revision() -> str:
    """The commit that is measured, with a + where files differ from it; the published figures are none of them."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    figures = ":!benchmarks/published.json"  # --resume writes there, section by section
    code = ["status", "--porcelain", "--", "code", "benchmarks", "requirements.txt", figures]
    changed = subprocess.run([*git, *code], capture_output=True, text=True, check=False)
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def minutes(section: Section, args: argparse.Namespace) -> float:
    """How long a section will take, roughly."""
    if args.short:
        return 2
    return section.minutes + (args.soak_minutes if "{soak_minutes}" in section.full else 0)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    signal.signal(signal.SIGTERM, record.end_cleanly)
    # Before anything is measured: the published file may be the one that is gone on with.
    published = json.loads(performance_page.PUBLISHED.read_text(encoding="utf-8"))
    path, kept = opened(args)
    wanted = [section for section in SECTIONS if section.name in args.only]
    waiting = [
        section for section in wanted if args.again or kept["sections"].get(section.name, {}).get("outcome") != DONE
    ]
    total = sum(minutes(section, args) for section in waiting)
    print(f"{len(waiting)} sections, about {total:.0f} minutes; figures: {path}", flush=True)
    began = time.monotonic()
    # What another revision trained, this one may serve otherwise.
    model = path.with_name(f"{path.stem}-{revision()}.model")
    for number, section in enumerate(waiting, 1):
        left = sum(minutes(later, args) for later in waiting[number - 1 :])
        passed = (time.monotonic() - began) / 60
        place = f"{number} of {len(waiting)}, {passed:.0f} min passed, about {left:.0f} left"
        print(f"\n== {section.name}: {section.title} ({place})", flush=True)
        kept["sections"][section.name] = measure(section, args, model)
        kept["machine"] = processes.machine() | {"load_at_start": kept["machine"]["load_at_start"]}
        write(path, kept)
    failed = [section.name for section in wanted if kept["sections"][section.name]["outcome"] == FAILED]
    print(f"\n{path}: {len(wanted) - len(failed)} of {len(wanted)} sections done", flush=True)
    beside = performance_page.compared(kept, args.only, published)
    if beside:
        print(f"\n{beside}\n")
    if not args.no_page and not args.short:
        performance_page.publish(path)
    if failed:
        raise jobs.DataError(f"sections without figures: {', '.join(failed)}; --resume {path} tries them again")


def opened(args: argparse.Namespace) -> tuple[Path, dict[str, Any]]:
    """The file of figures, and what stands in it already."""
    if args.resume:
        kept: dict[str, Any] = json.loads(args.resume.read_text(encoding="utf-8"))
        return args.resume, kept
    now = datetime.now(UTC)
    path = record.RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    kept = {"began": now.isoformat(timespec="seconds"), "machine": processes.machine(), "sections": {}}
    write(path, kept)
    return path, kept


def write(path: Path, kept: dict[str, Any]) -> None:
    """Replace the file in one go: whoever stops us finds the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    jobs.run(main)
