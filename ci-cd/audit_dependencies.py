"""Look up known vulnerabilities of every pinned package, and say so when that could not be done.

pip-audit asks the OSV service, which needs the network. The answer is kept: where the service cannot be reached, the
one for these very requirements counts until it is too old. Exit 0: none known; 1: some known; 3: not checked.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OSV = "https://api.osv.dev/v1/query"
NOT_CHECKED = 3


class NotChecked(Exception):  # noqa: N818  a state of the audit, told in one line
    """Nobody could say whether there are known vulnerabilities."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("requirements", nargs="+", type=Path, help="files of pinned packages")
    parser.add_argument("--osv-url", default=OSV, help="service to ask, in OSV's format (default: %(default)s)")
    parser.add_argument("--answer", type=Path, default=ROOT / ".local" / "audit.json", help="where answers are kept")
    parser.add_argument("--max-age-days", type=int, default=7, help="how old a kept answer may be (default: 7)")
    parser.add_argument("--offline", action="store_true", help="ask nobody: only a kept answer counts")
    parser.add_argument("--ignore", action="append", default=[], metavar="ID", help="vulnerability to pass over")
    return parser.parse_args(argv)


def ask(requirements: list[Path], osv_url: str) -> list[dict[str, Any]]:
    """What the service knows of each package, as pip-audit writes it: name, version, vulns.

    Raises:
        NotChecked: no answer, or not one for every package.
    """
    files = [word for path in requirements for word in ("--requirement", str(path))]
    command = [sys.executable, "-m", "pip_audit", *files, "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "answer.json"
        command += ["--vulnerability-service", "osv", "--osv-url", osv_url, "--format", "json", "--output", str(output)]
        done = subprocess.run([*command, "--timeout", "10"], capture_output=True, text=True, check=False)
        if not output.exists():
            last = (done.stderr.strip() or "no answer").splitlines()[-1]
            raise NotChecked(f"pip-audit got no answer from {osv_url}: {last[:200]}")
        found: list[dict[str, Any]] = json.loads(output.read_text(encoding="utf-8"))["dependencies"]
    if skipped := [package["name"] for package in found if "skip_reason" in package]:
        raise NotChecked(f"{osv_url} could not tell about {len(skipped)} packages: {', '.join(skipped[:5])}")
    if not found:
        raise NotChecked(f"want pinned packages, found none in {', '.join(map(str, requirements))}")
    return found


def key(requirements: list[Path]) -> str:
    """Names the content of the files: an answer is good for these alone."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in requirements)).hexdigest()


def kept(path: Path, wanted: str, max_age: timedelta) -> tuple[list[dict[str, Any]], str]:
    """The answer of an earlier run and its time.

    Raises:
        NotChecked: there is none, or it is old or about other packages.
    """
    if not path.exists():
        raise NotChecked("there is no kept answer")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found, when = content["dependencies"], datetime.fromisoformat(content["time"])
        same = content["requirements"] == wanted
    except (ValueError, KeyError, TypeError):
        raise NotChecked(f"the kept answer cannot be read: {path.name}") from None
    if not same:
        raise NotChecked("the kept answer is about other packages")
    if datetime.now(UTC) - when > max_age:
        raise NotChecked(f"the kept answer is of {when:%Y-%m-%d}")
    return found, f"{when:%Y-%m-%d %H:%M} UTC, kept"


def look_up(args: argparse.Namespace) -> tuple[list[dict[str, Any]], str]:
    """The service's answer, else the kept one, and when it was given."""
    wanted, reason = key(args.requirements), "--offline"
    if not args.offline:
        try:
            found = ask(args.requirements, args.osv_url)
        except NotChecked as error:
            reason = str(error)
        else:
            now = datetime.now(UTC)
            args.answer.parent.mkdir(parents=True, exist_ok=True)
            content = {"requirements": wanted, "time": now.isoformat(), "dependencies": found}
            args.answer.write_text(json.dumps(content), encoding="utf-8")
            return found, "now"
    try:
        return kept(args.answer, wanted, timedelta(days=args.max_age_days))
    except NotChecked as error:
        raise NotChecked(f"{reason}; {error}") from None


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if absent := [str(path) for path in args.requirements if not path.is_file()]:
        print(f"audit: want files of pinned packages, found nothing at {', '.join(absent)}", file=sys.stderr)
        return 2
    try:
        found, when = look_up(args)
    except NotChecked as error:
        print(f"audit: NOT CHECKED: {error}", file=sys.stderr)
        return NOT_CHECKED
    known = 0
    for package in found:
        for vulnerability in package["vulns"]:
            if not {vulnerability["id"], *vulnerability["aliases"]} & set(args.ignore):
                known += 1
                fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
                print(f"audit: {package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}")
    print(f"audit: {len(found)} packages looked up ({when}), {known} known vulnerabilities")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main())
