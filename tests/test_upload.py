"""Uploads to a real store: nothing lost at a cut, nothing half there, nothing sent twice, one line for what fails."""

import base64
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from buckets import Store
from cutting_proxy import CuttingProxy
from gcs_service import Gcs
from json_answers import JsonHandler
from local_gcs import start_gcs
from services import ROOT

pytest.importorskip("google.cloud.storage")
from sentiment.jobs import DataError
from sentiment.transfer import bucket as buckets
from sentiment.transfer import upload as uploads
from sentiment.transfer.bucket import Bucket
from sentiment.transfer.upload import Summary, items, upload

MIB = 1 << 20
NAME = "sentiment-bucket-data"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses and pieces of a test's size; the smallest piece that the store takes is 256 KiB."""
    monkeypatch.setattr(uploads, "BACK_OFF_SECONDS", 0.05)
    monkeypatch.setattr(buckets, "CHUNK", MIB)


@pytest.fixture
def store(gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> Gcs:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address())
    return gcs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of odd names and sizes, an empty one, one that goes in pieces; and what stays here."""
    made = tmp_path / "data"
    for name, content in {
        "tweets.csv": b"0,1\n" * 1000,
        "deep/er/été ü ?#%2F&+.txt": b"3",
        "empty.csv": b"",
        "large.bin": os.urandom(9 * MIB + 17),
        ".download.json": b"{}",
        ".hidden/file": b"x",
        "half.zip.partial": b"x",
    }.items():
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (made / "link.csv").symlink_to(made / "tweets.csv")
    return made


WANTED = {"tweets.csv", "deep/er/été ü ?#%2F&+.txt", "empty.csv", "large.bin"}


def sent(folder: Path, prefix: str, workers: int = 4) -> Summary:
    bucket = Bucket(NAME)
    return upload(bucket, items(folder, prefix), bucket.objects(f"{prefix}/"), workers)


def digests(folder: Path, names: set[str]) -> dict[str, str]:
    return {name: _digest((folder / name).read_bytes()) for name in names}


def stored(gcs: Gcs, prefix: str) -> dict[str, str]:
    """MD5 by name, as the store itself reckons it."""
    with Store(gcs.port) as store:
        return {
            found["name"].removeprefix(f"{prefix}/"): found["md5Hash"]
            for found in store.objects(NAME)
            if found["name"].startswith(f"{prefix}/")
        }


def _digest(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def test_every_file_is_there_with_its_bytes_and_a_second_time_none_is_sent(store: Gcs, folder: Path) -> None:
    done = sent(folder, folder.parent.name)
    assert (done.sent, done.skipped) == (4, 0)
    assert stored(store, folder.parent.name) == digests(folder, WANTED)
    (folder / "tweets.csv").write_bytes(b"1,0\n" * 1000)  # as long as before
    done = sent(folder, folder.parent.name)
    assert (done.sent, done.sent_bytes, done.skipped) == (1, 4000, 3)
    assert stored(store, folder.parent.name) == digests(folder, WANTED)


@pytest.mark.usefixtures("quick")
def test_cuts_in_the_middle_of_pieces_lose_nothing(store: Gcs, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after = [50_000, *(MIB * at + 300_000 for at in range(1, 8, 2))]
    with CuttingProxy(store.port, after) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{proxy.port}")
        sent(folder, folder.parent.name)
    assert proxy.cuts == len(after)
    assert stored(store, folder.parent.name) == digests(folder, WANTED)


@pytest.mark.usefixtures("quick")
def test_an_answer_that_is_lost_neither_doubles_a_piece_nor_fails_the_file(
    store: Gcs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CuttingProxy(store.port, [], answers=3) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{proxy.port}")
        sent(folder, folder.parent.name, workers=1)
    assert proxy.cuts == 3
    assert stored(store, folder.parent.name) == digests(folder, WANTED)


@pytest.mark.usefixtures("quick")
def test_a_file_whose_last_answer_was_lost_counts_as_sent(
    store: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.csv").write_bytes(os.urandom(3000))
    with CuttingProxy(store.port, [], answers=1, least=3000) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{proxy.port}")
        sent(tmp_path, tmp_path.name)
    assert proxy.cuts == 1
    assert stored(store, tmp_path.name) == digests(tmp_path, {"one.csv"})


@pytest.mark.usefixtures("quick")
def test_a_line_that_stays_cut_leaves_no_half_object_and_says_how_to_go_on(
    store: Gcs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "RETRY_SECONDS", 2.0)
    monkeypatch.setattr(uploads, "ATTEMPTS", 2)
    prefix = folder.parent.name
    with CuttingProxy(store.port, [3 * MIB] * 1000) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(DataError, match=r"not uploaded in 2 attempts.* of 4 files are there, run it again") as told:
            sent(folder, prefix)
    assert "\n" not in str(told.value)
    there = stored(store, prefix)
    assert "large.bin" not in there
    assert there == digests(folder, set(there))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.address())
    sent(folder, prefix)
    assert stored(store, prefix) == digests(folder, WANTED)


@pytest.mark.usefixtures("quick")
def test_an_object_that_somebody_else_wrote_meanwhile_is_not_overwritten(store: Gcs, folder: Path) -> None:
    prefix = folder.parent.name
    bucket = Bucket(NAME)
    before = bucket.objects(f"{prefix}/")
    with Store(store.port) as other:
        other.write(NAME, f"{prefix}/tweets.csv", b"theirs")
    with pytest.raises(DataError, match=r"tweets\.csv: want nobody else to write it meanwhile"):
        upload(bucket, items(folder, prefix), before, workers=1)
    assert stored(store, prefix)["tweets.csv"] == _digest(b"theirs")


def test_a_bucket_that_is_not_there_is_one_line(store: Gcs) -> None:
    assert store
    with pytest.raises(DataError, match=r"^--gcs-bucket: want a bucket that exists, found no gs://nowhere \(404\)"):
        Bucket("nowhere").objects("x/")


class _Refusing(JsonHandler, BaseHTTPRequestHandler):
    """Lists nothing and lets nobody write."""

    def do_GET(self) -> None:
        self.answer(200, {"items": []})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(403, {"error": {"code": 403, "message": "x@y does not have storage.objects.create access"}})


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_address[1]}")
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("refusing")
def test_a_bucket_that_may_not_be_written_is_one_line_at_once(folder: Path) -> None:
    began = time.monotonic()
    with pytest.raises(DataError, match=r"want the right to list and write objects .* refused \(403\)") as told:
        sent(folder, "x")
    assert "\n" not in str(told.value)
    assert time.monotonic() - began < 10


def test_without_credentials_the_way_to_log_in_is_told_and_no_metadata_server_is_looked_for(tmp_path: Path) -> None:
    tried = (
        "from sentiment.jobs import run; from sentiment.transfer.bucket import Bucket; "
        "run(lambda: print(Bucket('somebody').objects('x/')))"
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_GCE_CHECK": "true", "PYTHONPATH": str(ROOT / "code")}
    env["CLOUDSDK_CONFIG"] = str(tmp_path)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", tried], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "gcloud auth application-default login" in done.stderr
    assert time.monotonic() - began < 30


def test_a_name_that_no_object_can_have_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "two\nlines").write_bytes(b"")
    with pytest.raises(DataError, match="in one line for objects"):
        items(tmp_path, "x")


@pytest.mark.skipif("UPLOAD_FIGURES" not in os.environ, reason="minutes and 4 GiB; UPLOAD_FIGURES=1 runs it")
def test_2000_files_and_one_of_a_gibibyte_with_ten_cuts(
    tmp_path: Path, gcs_binaries: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(2000):
        (folder / f"small-{number:04}.csv").write_bytes(os.urandom(2000))
    piece = os.urandom(16 * MIB)
    with (folder / "large.bin").open("wb") as file:
        for number in range(64):
            file.write(number.to_bytes(4, "big") + piece[4:])
    after = [MIB, *(100 * MIB * at for at in range(1, 10))]
    made = start_gcs(tmp_path / "gcs", gcs_binaries)
    try:
        with CuttingProxy(made.port, after) as proxy:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{proxy.port}")
            began = time.monotonic()
            done = sent(folder, "figures", workers=8)
            seconds = time.monotonic() - began
        names = {path.name for path in folder.iterdir()}
        assert (proxy.cuts, done.sent, len(names)) == (10, 2001, 2001)
        assert stored(made, "figures") == digests(folder, names)
        again = sent(folder, "figures")
        assert (again.sent, again.skipped) == (0, 2001)
    finally:
        made.stop()
    with capsys.disabled():
        print(f"2,000 files and 1 GiB, ten cuts: {seconds:.1f} s")
