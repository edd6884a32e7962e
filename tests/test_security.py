"""`make security` and the audit of the pinned packages: each check is seen to fail on a planted problem."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import audit_dependencies
import pytest
from services import ROOT, free_port

KNOWN = {
    "id": "PYSEC-2099-1",
    "aliases": ["CVE-2099-1"],
    "summary": "planted",
    "affected": [
        {
            "package": {"name": "tqdm", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "4.66.3"}]}],
        }
    ],
}


class Osv(BaseHTTPRequestHandler):
    """A vulnerability service that speaks OSV's API and knows one thing about tqdm 4.66.2."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        bad = (asked["package"]["name"], asked["version"]) == ("tqdm", "4.66.2")
        body = json.dumps({"vulns": [KNOWN]} if bad else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""


@pytest.fixture(scope="module")
def osv() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Osv)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def audit(folder: Path, pins: str, url: str, *more: str) -> int:
    (folder / "pins.txt").write_text(pins, encoding="utf-8")
    return audit_dependencies.main(
        [str(folder / "pins.txt"), "--osv-url", url, "--answer", str(folder / "answer.json"), *more]
    )


def test_a_package_with_a_known_vulnerability_fails_the_audit(
    osv: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(tmp_path, "tqdm==4.66.2\nrich==14.0.0\n", osv) == 1
    assert capsys.readouterr().out.splitlines() == [
        "audit: tqdm 4.66.2: PYSEC-2099-1, fixed in 4.66.3",
        "audit: 2 packages looked up (now), 1 known vulnerabilities",
    ]
    assert audit(tmp_path, "tqdm==4.66.2\n", osv, "--ignore", "CVE-2099-1") == 0
    assert audit(tmp_path, "tqdm==4.66.3\n", osv) == 0


def test_without_the_service_the_last_answer_counts_for_the_same_packages_until_it_is_old(
    osv: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/v1/query"
    assert audit(tmp_path, "tqdm==4.66.2\n", nobody) == 3
    error = capsys.readouterr().err
    assert error.startswith(f"audit: NOT CHECKED: pip-audit got no answer from {nobody}: ")
    assert error.count("\n") == 1
    assert audit(tmp_path, "tqdm==4.66.2\n", osv) == 1
    assert audit(tmp_path, "tqdm==4.66.2\n", nobody) == 1
    assert "UTC, kept), 1 known" in capsys.readouterr().out
    assert audit(tmp_path, "tqdm==4.66.2\n", nobody, "--offline") == 1
    assert audit(tmp_path, "tqdm==4.66.1\n", nobody, "--offline") == 3
    answer = tmp_path / "answer.json"
    content = json.loads(answer.read_text(encoding="utf-8"))
    content["time"] = (datetime.now(UTC) - timedelta(days=8)).isoformat()
    answer.write_text(json.dumps(content), encoding="utf-8")
    capsys.readouterr()
    assert audit(tmp_path, "tqdm==4.66.2\n", nobody, "--offline") == 3
    assert capsys.readouterr().err == f"audit: NOT CHECKED: --offline; the kept answer is of {content['time'][:10]}\n"


def test_files_without_pins_are_no_clean_audit(osv: str, tmp_path: Path) -> None:
    assert audit(tmp_path, "# nothing\n", osv) == 3
    assert audit_dependencies.main(["absent.txt"]) == 2


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small repository with the security checks, one module and one pinned package; an answer is kept.

    What the baseline knows to be no secret stands in another line.
    """
    root = tmp_path / "checkout"
    (root / "ci-cd").mkdir(parents=True)
    for name in ("ci-cd/security.sh", "ci-cd/audit_dependencies.py", ".secrets.baseline", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    parts = ("", "-cluster", "-dev", "-bench", "-spark35")
    names = [f"requirements{part}.txt" for part in parts]
    for name in names:
        (root / name).write_text("tqdm==4.67.1\n", encoding="utf-8")
    (root / "module.py").write_text('"""Harmless."""\n', encoding="utf-8")
    (root / "local").mkdir()
    known = (ROOT / "local" / "airflow_home.py").read_text(encoding="utf-8")
    (root / "local" / "airflow_home.py").write_text(f"# one line more\n{known}", encoding="utf-8")
    (root / ".gitignore").write_text(".local/\n.venv\ndist/\n", encoding="utf-8")
    (root / ".venv").symlink_to(Path(sys.prefix))
    subprocess.run(["git", "init", "--quiet", root], check=True)
    (root / ".local").mkdir()
    content = {
        "requirements": audit_dependencies.key([root / name for name in names]),
        "time": datetime.now(UTC).isoformat(),
        "dependencies": [{"name": "tqdm", "version": "4.67.1", "vulns": []}],
    }
    (root / ".local" / "audit.json").write_text(json.dumps(content), encoding="utf-8")
    return root


def test_every_lock_of_this_checkout_is_audited() -> None:
    script = (ROOT / "ci-cd" / "security.sh").read_text(encoding="utf-8").replace("\\\n", " ")
    [audited] = [line.split() for line in script.splitlines() if "ci-cd/audit_dependencies.py $" in line]
    assert {path.name for path in ROOT.glob("requirements*.txt")} == {word for word in audited if ".txt" in word}


def security(root: Path) -> tuple[int, dict[str, str]]:
    """Run the checks offline: exit code, and the table."""
    command = ["bash", str(root / "ci-cd" / "security.sh"), "--offline"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    table = dict(line.split(maxsplit=1) for line in done.stdout.splitlines()[-4:])
    assert list(table) == ["secrets", "code", "audit", "sbom"], done.stdout + done.stderr
    return done.returncode, table


def test_a_clean_checkout_passes_and_has_its_bill_of_materials(checkout: Path) -> None:
    before = (checkout / ".secrets.baseline").read_bytes()
    code, table = security(checkout)
    assert (code, table["secrets"], table["audit"]) == (0, "nothing found", "no known vulnerabilities")
    assert (checkout / ".secrets.baseline").read_bytes() == before
    bill = json.loads((checkout / "dist" / "sbom-cluster.cdx.json").read_text(encoding="utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    assert [component["purl"] for component in bill["components"]] == ["pkg:pypi/tqdm@4.67.1"]


def test_this_checkout_holds_no_secret(tmp_path: Path) -> None:
    baseline = shutil.copy(ROOT / ".secrets.baseline", tmp_path)  # the hook rewrites it where lines have moved: exit 3
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    left_out = (".secrets.baseline", "requirements")
    files = [name for name in listed.split("\0") if name and not name.startswith(left_out)]
    assert len(files) > 300
    hook = Path(sys.executable).with_name("detect-secrets-hook")
    command = [str(hook), "--no-verify", "--baseline", str(baseline), *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 3), done.stdout


def test_planted_problems_fail_the_checks_that_look_for_them(checkout: Path) -> None:
    key = "AKIA" + "IOSFODNN7REALKEY"
    (checkout / "module.py").write_text(f'import pickle\n\nKEY = "{key}"\npickle.loads(b"")\n', encoding="utf-8")
    (checkout / "requirements-cluster.txt").unlink()
    code, table = security(checkout)
    assert code == 1
    assert table == dict.fromkeys(("secrets", "code", "audit", "sbom"), "FAILED")


def test_an_audit_that_could_not_be_made_is_told_and_nothing_else_passes_for_it(checkout: Path) -> None:
    (checkout / ".local" / "audit.json").unlink()
    code, table = security(checkout)
    assert (code, table["audit"]) == (0, "NOT CHECKED (--offline)")
