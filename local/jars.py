"""Fetch the jars that local/jars.toml pins, with the Ivy that pyspark ships: Java and the environment are all it needs.

Into .local/jars/<set>/, once: a folder stands there only when it is complete.
"""

import argparse
import importlib.metadata
import importlib.util
import re
import shutil
import sys
import time
import tomllib
from pathlib import Path
from xml.etree import ElementTree

from services import LOCAL, ServiceError, SettingError, java, locked, run_main, run_watched

PINS = Path(__file__).resolve().with_name("jars.toml")
FOLDER = LOCAL / "jars"
STAMP = ".fetched"  # in a complete folder: the pins that it was fetched for
LIMIT_SECONDS = 900
CLASSIFIER = "{http://ant.apache.org/ivy/maven}classifier"
# Java's own connections wait for ever unless told otherwise.
TIMEOUTS = ["-Dsun.net.client.defaultConnectTimeout=20000", "-Dsun.net.client.defaultReadTimeout=60000"]

Pins = dict[str, list[str]]


def pins() -> dict[str, Pins]:
    """The sets of local/jars.toml by name."""
    with PINS.open("rb") as file:
        return tomllib.load(file)


def spark_set() -> str:
    """The set of the installed pyspark."""
    return f"spark-{importlib.metadata.version('pyspark')}"


def pinned(name: str) -> Pins:
    """One set; SettingError names the known ones."""
    known = pins()
    if name not in known:
        raise SettingError(f"jars: want one of the sets {', '.join(known)}; got {name}")
    return known[name]


def fetch(name: str, folder: Path = FOLDER) -> Path:
    """The folder with the jars of the set `name`, fetched on the first call; ServiceError when that fails."""
    wanted, target = pinned(name), folder / name
    if _is_fetched(target, wanted):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):  # two commands at once fetch once
        if not _is_fetched(target, wanted):
            partial = folder / f".{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            _retrieve(name, wanted, partial, folder / f"{name}.log")
            (partial / STAMP).write_text(repr(wanted), encoding="utf-8")
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
    return target


def connector_jars(name: str | None = None) -> list[str]:
    """The connector jars (absolute paths) for Spark's `spark.jars`: those of the installed pyspark, unless named."""
    return sorted(str(path) for path in fetch(name or spark_set()).glob("*.jar"))


def packages(name: str) -> list[str]:
    """What `--packages` names for this set: group:name:version."""
    wanted = pinned(name)
    versions = {coordinates.rpartition(":")[0]: coordinates for coordinates in wanted["alone"]}
    return [versions[package] for package in wanted.get("packages", [])]


def _is_fetched(target: Path, wanted: Pins) -> bool:
    stamp = target / STAMP
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == repr(wanted)


def _retrieve(name: str, wanted: Pins, target: Path, log: Path) -> None:
    """Have Ivy put the jars into `target`; ServiceError tells in one line what it said."""
    ivy_file = target / "ivy.xml"
    ivy_file.write_bytes(_ivy_module(name, wanted))
    # Relative to `target`: brackets in the checkout's own path would be part of the pattern.
    pattern = "[artifact]-[revision](-[classifier]).[ext]"
    arguments = ["-ivy", ivy_file.name, "-confs", "default", "-types", "jar", "bundle", "-retrieve", pattern]
    command = [java(), *TIMEOUTS, "-jar", str(_ivy()), *arguments]
    print(f"jars: fetching the set {name} (some 45 MB; about a minute, the first time)", file=sys.stderr, flush=True)
    began = time.monotonic()
    code = run_watched(command, log, f"jars: fetching the set {name}", LIMIT_SECONDS, cwd=target)
    ivy_file.unlink()
    missing = [path for path in _direct(wanted) if not (target / path).is_file()]
    if code != 0 or missing:
        why = f"no end after {LIMIT_SECONDS} s" if code < 0 else _complaint(log, missing)
        raise ServiceError(f"jars: the set {name} could not be fetched: {why} (all of it: {log})")
    count = len(list(target.glob("*.jar")))
    print(f"jars: {count} jars of {name} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _ivy() -> Path:
    spec = importlib.util.find_spec("pyspark")
    folders = spec.submodule_search_locations if spec else None
    found = sorted(Path(folders[0]).glob("jars/ivy-*.jar")) if folders else []
    if not found:
        raise ServiceError("jars: want the Ivy that pyspark ships, found none beside this Python: run `make setup`")
    return found[-1]


def _ivy_module(name: str, wanted: Pins) -> bytes:
    root = ElementTree.Element("ivy-module", version="2.0")
    ElementTree.SubElement(root, "info", organisation="local", module=name)
    ElementTree.SubElement(ElementTree.SubElement(root, "configurations"), "conf", name="default")
    dependencies = ElementTree.SubElement(root, "dependencies")
    for kind, transitive in (("with-needs", "true"), ("alone", "false")):
        for coordinates in wanted.get(kind, []):
            group, artifact, version, *classifier = coordinates.split(":")
            dependency = ElementTree.SubElement(
                dependencies,
                "dependency",
                {"org": group, "name": artifact, "rev": version, "transitive": transitive, "conf": "default->default"},
            )
            for value in classifier:
                details = {"name": artifact, "type": "jar", "ext": "jar", CLASSIFIER: value}
                ElementTree.SubElement(dependency, "artifact", details)
    return ElementTree.tostring(root)


def _direct(wanted: Pins) -> list[str]:
    """The files that must be there in the end, those that the pins name themselves."""
    return [
        f"{'-'.join(coordinates.split(':')[1:])}.jar"
        for coordinates in [*wanted.get("with-needs", []), *wanted.get("alone", [])]
    ]


def _complaint(log: Path, missing: list[str]) -> str:
    """The line of Ivy's log that tells most."""
    text = log.read_text(encoding="utf-8", errors="replace")
    for pattern in (
        r"Server access error[^\n]*",
        r":: (\S+#\S+: (?:not found|java\S+[^\n]*))",
        r"[^\n]*Exception[^\n]*",
    ):
        found = re.search(pattern, text)
        if found:
            return found[found.lastindex or 0].strip()
    return f"{missing[0]} is missing" if missing else "Ivy gave up without saying why"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    what = {
        "fetch": "fetch them if need be, print their folder",
        "paths": "the same, and print the files, comma-separated, as spark.jars takes them",
        "packages": "print what `--packages` takes on a cluster, comma-separated",
    }
    parser.add_argument("command", choices=what, help="; ".join(f"{name}: {text}" for name, text in what.items()))
    parser.add_argument("set", nargs="?", help="a set of local/jars.toml (default: that of the installed pyspark)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    name = args.set or spark_set()
    if args.command == "packages":
        print(",".join(packages(name)))
        excludes = ",".join(pinned(name).get("excludes", []))
        if excludes:
            print(f"The cluster has these already: add --exclude-packages {excludes}", file=sys.stderr)
    elif args.command == "paths":
        print(",".join(connector_jars(name)))
    else:
        print(fetch(name))


if __name__ == "__main__":
    run_main(main)
