"""Write docs/performance.md and its plots from benchmarks/published.json, or check that they are up to date."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "code")]

from benchmarks import page_tables, pictures  # noqa: E402
from benchmarks.claims import Sections  # noqa: E402
from benchmarks.wanted import CLAIMS  # noqa: E402

PUBLISHED = ROOT / "benchmarks" / "published.json"
PAGE = ROOT / "docs" / "performance.md"
PICTURES = ROOT / "docs" / "performance"
DONE = "done"
INTRODUCTION = """# Performance

What `make bench` measured, beside what one would use instead; peers of one table ran in the same run, on the same rows.
Written from `benchmarks/published.json` by `benchmarks/performance_page.py`; `make check` compares. A figure that
misses what is wanted of it stands here as missed; what was not measured stands here as not run. [Where the time
goes](profiles.md) says what profiles show of the misses.
"""


def done(kept: dict[str, Any]) -> Sections:
    """Figures of the sections that were done whole, by name."""
    return {name: entry["figures"] for name, entry in whole(kept).items()}


def whole(kept: dict[str, Any]) -> dict[str, Any]:
    """The sections that were done, and not in their short form, by name: figures, moment, revision and load."""
    entries = kept["sections"].items()
    return {name: entry for name, entry in entries if entry["outcome"] == DONE and not entry["short"]}


def taken(kept: dict[str, Any], names: tuple[str, ...]) -> str:
    """When, at which revision, beside which load and on which other machine sections were measured, in one line."""
    said, usual, entries = [], kept["machine"].get("cpu"), whole(kept)
    for name in names:
        entry = entries.get(name)
        if entry is None:
            said.append(f"{name}: not run")
        else:
            moment = entry["began"][:16].replace("T", " ")
            cpu = entry["figures"].get("machine", {}).get("cpu", usual)
            other = f", on another machine ({cpu})" if cpu != usual else ""
            load = f"load before {entry['load_before']:.1f}"
            said.append(f"{name}: {moment} UTC, revision {entry['revision']}, {load}{other}")
    return "; ".join(said) + "."


def page(kept: dict[str, Any]) -> str:
    """The whole text of docs/performance.md."""
    sections = done(kept)
    machine = kept["machine"]
    described = [
        [name.replace("_", " "), str(value)] for name, value in machine.items() if name != "load_at_start" and value
    ]
    claims = [[claim.what, claim.limit(), claim.shows(sections), claim.verdict(sections)] for claim in CLAIMS]
    parts = [INTRODUCTION]
    parts.append(
        "## Wanted and reached\n\n" + page_tables.table(("figure", "wanted", "found", ""), claims, left=4) + "\n"
    )
    parts.append(NOISE)
    for title, names, write, picture in page_tables.PARTS:
        body = write(sections) if any(name in sections for name in names) else "Not run."
        shown = f"\n![{title}](performance/{picture}.svg)\n" if picture and drawable(picture, sections) else ""
        parts.append(f"## {title}\n\n{body}\n{shown}\n_{taken(kept, names)}_\n")
    parts.append(f"## The machine\n\n{MACHINE}\n\n{page_tables.table(('', ''), described, left=2)}\n")
    return "\n".join(parts)


MACHINE = "Of the last run; the line below a section says where it was measured on another one."

NOISE = """A figure is of one run where its table gives no range; where it does, the median of the runs is shown. *Load
before* is the machine's one-minute load average as the section began: above 1 something else was at work, or the
section before had just ended.

From run to run figures move by a sixth on quiet cores. Beside the busy neighbours of a virtual machine seconds double
and ratios move by a quarter, so ratios are what to compare ([how far runs differed](profiles.md#from-run-to-run)).
`make bench` shows each figure beside the published one.
"""


def compared(kept: dict[str, Any], names: Sequence[str], published: dict[str, Any]) -> str:
    """The figures of these sections beside the published ones, for the screen; empty where there are none."""
    here, there = done(kept), done(published)
    lines = [
        f"{claim.what:<98} {claim.shows(here):>12} {claim.shows(there, 'not run'):>12}"
        for claim in CLAIMS
        if claim.section in names and claim.found(here) is not None
    ]
    return "\n".join([f"{'figure':<98} {'here':>12} {'published':>12}", *lines]) if lines else ""


def drawable(name: str, sections: Sections) -> bool:
    """Whether what the picture shows was measured."""
    return pictures.PICTURES[name][0] in sections


def drawn(sections: Sections) -> dict[str, pictures.Drawn]:
    """The pictures by the names of their files."""
    names = (name for name in pictures.PICTURES if drawable(name, sections))
    return {f"{name}.svg": pictures.PICTURES[name][1](sections) for name in names}


def publish(results: Path) -> None:
    """Make the page from a run's figures; what the run did not measure stays as benchmarks/published.json has it."""
    kept = json.loads(results.read_text(encoding="utf-8"))
    if results.resolve() != PUBLISHED:
        before = json.loads(PUBLISHED.read_text(encoding="utf-8"))["sections"] if PUBLISHED.is_file() else {}
        kept["sections"] = before | whole(kept)
        PUBLISHED.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    text = page(kept)
    images = {name: pictures.svg(picture) for name, picture in drawn(done(kept)).items()}
    PAGE.write_text(text, encoding="utf-8")
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.svg"):
        old.unlink()
    for name, image in images.items():
        (PICTURES / name).write_text(image, encoding="utf-8")
    print(PAGE.relative_to(ROOT))


def stale() -> list[str]:
    """What differs from what the published figures give: the page, pictures."""
    kept = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    found = [] if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page(kept) else [PAGE]
    wanted = {PICTURES / name: picture for name, picture in drawn(done(kept)).items()}
    for path in sorted({*wanted, *PICTURES.glob("*.svg")}):
        known = path in wanted and path.is_file()
        if not known or not pictures.is_of(path.read_text(encoding="utf-8"), wanted[path]):
            found.append(path)
    return [path.relative_to(ROOT).as_posix() for path in found]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if anything is out of date")
    parser.add_argument("--results", type=Path, default=PUBLISHED, help="figures of a run to make the page from")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    if not args.check:
        if not args.results.is_file():
            sys.exit(f"--results: want a file of figures that make bench wrote, found none at {args.results}")
        publish(args.results)
    elif found := stale():
        sys.exit(f"out of date: {', '.join(found)}; run .venv/bin/python benchmarks/performance_page.py")


if __name__ == "__main__":
    main()
