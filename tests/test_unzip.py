"""An archive from elsewhere is unzipped whole into its folder, or refused in one line with nothing written."""

import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from services import ROOT

from sentiment.jobs import DataError
from sentiment.transfer.archive import DamagedError, unzip

Fill = Callable[[zipfile.ZipFile], None]


@pytest.fixture
def archive(tmp_path: Path) -> Callable[[Fill], Path]:
    """A zip beside the folder `out`, filled by a function."""

    def make(fill: Fill) -> Path:
        (tmp_path / "out").mkdir()
        path = tmp_path / "out" / "it.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            fill(opened)
        return path

    return make


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def named(name: str) -> Fill:
    def fill(opened: zipfile.ZipFile) -> None:
        opened.writestr("good.csv", b"good")
        entry = zipfile.ZipInfo("x")
        entry.filename = name  # as it stands: the constructor would mend some
        opened.writestr(entry, b"bad")

    return fill


def link(opened: zipfile.ZipFile) -> None:
    entry = zipfile.ZipInfo("link")
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    opened.writestr(entry, "/etc/passwd")


def bomb(opened: zipfile.ZipFile) -> None:
    for number in range(3):
        opened.writestr(f"{number}.bin", bytes(1_000_000))


def test_files_and_folders_come_out_over_older_ones(archive: Callable[[Fill], Path], tmp_path: Path) -> None:
    def fill(opened: zipfile.ZipFile) -> None:
        opened.mkdir("deep")
        opened.writestr("deep/er.csv", b"1")
        opened.writestr("été.csv", b"new")

    path = archive(fill)
    (tmp_path / "out" / "été.csv").write_bytes(b"old")
    assert unzip(path, tmp_path / "out", 1.0) == {"deep/er.csv": 1, "été.csv": 3}
    path.unlink()
    assert files(tmp_path / "out") == {"deep/er.csv": b"1", "été.csv": b"new"}


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (named("../outside.csv"), "leads outside"),
        (named("a/../../outside.csv"), "leads outside"),
        (named("/outside.csv"), "leads outside"),
        (named("C:/outside.csv"), "another system"),
        (named("..\\outside.csv"), "another system"),
        (named(".download.json"), "a name that is taken"),
        (named("it.zip"), "a name that is taken"),
        (named("good.csv/x"), "cannot be unzipped|no folder where a file belongs"),
        (link, "no plain file"),
        (bomb, r"want at most --max-unzipped-gb 0\.002, found files of 0\.003 GB"),
    ],
)
def test_what_is_not_safe_is_refused_before_anything_is_written(
    archive: Callable[[Fill], Path], tmp_path: Path, fill: Fill, said: str
) -> None:
    path = archive(fill)
    with pytest.raises(DataError, match=said) as told:
        unzip(path, tmp_path / "out", 0.002)
    assert "\n" not in str(told.value)
    assert {*files(tmp_path)} == {"out/it.zip"}


def test_an_archive_that_declares_less_than_it_holds_writes_no_byte_more(
    archive: Callable[[Fill], Path], tmp_path: Path
) -> None:
    path = archive(lambda opened: opened.writestr("big.bin", bytes(5_000_000)))
    content = path.read_bytes()
    path.write_bytes(content.replace((5_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    with pytest.raises(DamagedError):
        unzip(path, tmp_path / "out", 0.002)
    assert {*files(tmp_path)} == {"out/it.zip"}


@pytest.mark.parametrize("broken", ["cut", "changed", "no zip", "empty"])
def test_a_corrupt_archive_leaves_nothing(archive: Callable[[Fill], Path], tmp_path: Path, broken: str) -> None:
    def fill(opened: zipfile.ZipFile) -> None:
        opened.writestr("first", bytes(9999))
        opened.writestr("second", b"text" * 9999)

    path = archive(fill)
    content = path.read_bytes()
    at = content.rindex(b"PK\x03\x04") + 40  # within the second file
    changed = content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]
    path.write_bytes({"cut": content[:-30], "changed": changed, "no zip": b"<html>", "empty": b""}[broken])
    with pytest.raises(DamagedError, match="want a zip that can be read, found it corrupt"):
        unzip(path, tmp_path / "out", 1.0)
    assert {*files(tmp_path)} == {"out/it.zip"}


def test_an_archive_with_a_password_is_refused(archive: Callable[[Fill], Path], tmp_path: Path) -> None:
    path = archive(lambda opened: opened.writestr("a", b"a"))
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="a password"):
        unzip(path, tmp_path / "out", 1.0)


def test_a_disk_that_takes_no_more_is_one_line(archive: Callable[[Fill], Path], tmp_path: Path) -> None:
    path = archive(lambda opened: opened.writestr("a", bytes(300_000)))
    tried = (
        "import resource, sys; from pathlib import Path; from sentiment.jobs import run\n"
        "from sentiment.transfer.archive import unzip\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "run(lambda: print(unzip(Path(sys.argv[1]), Path(sys.argv[2]), 1.0)))"
    )
    command = [sys.executable, "-c", tried, str(path), str(tmp_path / "out")]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT / "code")}, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "cannot be unzipped into" in done.stderr
    assert {*files(tmp_path)} == {"out/it.zip"}
