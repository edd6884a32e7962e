"""Objects appear whole, once, and say so, in a local folder and over the object store's JSON API."""

import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from gcs_service import Gcs
from json_answers import JsonHandler
from ledger_worker import MODEL, Place, promote

from sentiment import objects
from sentiment.jobs import DataError
from sentiment.live.ledger import Ledger

BUCKET = "ledgers"


class _Store(ThreadingHTTPServer):
    """Insert with ifGenerationMatch, get and list of one bucket, on 127.0.0.1."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self.lost_answers = 0
        self.forbidden = False


class _Handler(JsonHandler, BaseHTTPRequestHandler):
    server: _Store

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.forbidden:
            self.answer(403, {"error": {"code": 403, "message": "storage.objects.create denied"}})
            return
        if url.path != f"/upload/storage/v1/b/{BUCKET}/o":
            self.answer(404, {"error": {"code": 404, "message": "The specified bucket does not exist."}})
            return
        head = f"Content-Type: {self.headers['Content-Type']}\n\n".encode()
        parts: Any = message_from_bytes(head + body).get_payload()
        name = json.loads(parts[0].get_payload())["name"]
        with self.server.lock:
            if query.get("ifGenerationMatch") == ["0"] and name in self.server.objects:
                self.answer(412, {"error": {"code": 412, "message": "conditionNotMet"}})
                return
            self.server.objects[name] = parts[1].get_payload(decode=True)
        if self.server.lost_answers:
            self.server.lost_answers -= 1
            self.answer(503, {"error": {"code": 503, "message": "backend error"}})
            return
        self.answer(200, {"name": name, "bucket": BUCKET, "generation": "1"})

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if found := re.fullmatch(rf"/download/storage/v1/b/{BUCKET}/o/(.+)", url.path):
            content = self.server.objects.get(unquote(found[1]))
            if content is None:
                self.answer(404, {"error": {"code": 404, "message": "No such object"}})
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        elif url.path == f"/storage/v1/b/{BUCKET}/o":
            prefix = query["prefix"][0]
            assert query["delimiter"] == ["/"]
            below = [name for name in self.server.objects if name.startswith(prefix)]
            items = [{"name": name} for name in sorted(below) if "/" not in name.removeprefix(prefix)]
            self.answer(200, {"items": items})
        else:
            self.answer(404, {"error": {"code": 404, "message": "The specified bucket does not exist."}})


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Store]:
    made = _Store()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{made.server_address[1]}")
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(params=["local", "gs", "emulator"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "gs":
        request.getfixturevalue("store")
        return f"gs://{BUCKET}/some/ledger"
    if request.param == "emulator":
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("gcs").address())
        return f"gs://sentiment-bucket/{tmp_path.name}/ledger"
    return str(tmp_path / "ledger")


def test_an_object_is_created_once_and_replaced_when_asked(folder: str) -> None:
    assert objects.read(f"{folder}/a") is None
    assert objects.names(folder) == []
    assert objects.create(f"{folder}/a", "été")
    assert not objects.create(f"{folder}/a", "second")
    assert objects.read(f"{folder}/a") == "été"
    objects.replace(f"{folder}/a", "third")
    assert objects.read(f"{folder}/a") == "third"
    objects.create(f"{folder}/below/b", "")
    objects.create(f"{folder}/.hidden", "")
    assert objects.names(folder) == ["a"]


def test_a_listing_has_all_below_a_folder_with_size_and_age_and_a_file_can_be_sought_in(
    gcs: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address())
    for folder in (str(tmp_path / "listed"), f"gs://sentiment-bucket/{tmp_path.name}/listed"):
        assert objects.entries(folder) == []
        for name in ("b", "a/1", "_staging/c", ".hidden", "a/_d"):
            objects.replace(f"{folder}/{name}", f"text {name}")
        found = objects.entries(folder)
        assert [(entry.name, entry.size) for entry in found] == [("a/1", 8), ("b", 6)]
        assert all(abs(entry.modified - time.time()) < 60 for entry in found)
        with objects.opened(f"{folder}/a/1") as file:
            file.seek(-3, 2)
            assert file.read() == b"a/1"
        with pytest.raises(DataError, match=f"cannot read {folder}/c: "), objects.opened(f"{folder}/c") as file:
            file.read()


def test_of_many_that_create_at_once_one_does(folder: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda number: objects.create(f"{folder}/a", f"text {number}"), range(8)))
    assert created.count(True) == 1
    assert objects.read(f"{folder}/a") == f"text {created.index(True)}"


def test_a_folder_that_can_be_written_is_known_without_leaving_more_than_one_object(folder: str) -> None:
    for _ in range(2):
        objects.check_writable(folder, "--ledger")
    assert objects.names(folder) == []


def test_a_create_whose_answer_was_lost_is_ours(store: _Store) -> None:
    store.lost_answers = 1
    assert objects.create(f"gs://{BUCKET}/a", "mine")
    assert store.objects == {"a": b"mine"}


def test_a_bucket_that_may_not_be_written_or_is_not_there_is_told_in_one_line(store: _Store) -> None:
    with pytest.raises(DataError, match=r"cannot read gs://other/x: .*bucket does not exist"):
        objects.names("gs://other/x")
    store.forbidden = True
    with pytest.raises(DataError, match=r"--ledger gs://ledgers/x: want a folder .*denied") as told:
        objects.check_writable(f"gs://{BUCKET}/x", "--ledger")
    assert "\n" not in str(told.value)


def test_a_ledger_on_the_local_object_store_claims_each_number_once(
    gcs: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address())
    place, folder = Place(tmp_path), f"gs://sentiment-bucket/{tmp_path.name}"
    for version in ("1", "2"):
        promote(Ledger(place.client, MODEL, folder), version)
    assert place.aliases() == {"champion": "2", "previous": "1"}
    assert objects.names(f"{folder}/{MODEL}") == ["00000001.json", "00000002.json"]
    assert objects.names(f"{folder}/{MODEL}/done") == ["00000001.json", "00000002.json"]
    assert not objects.create(f"{folder}/{MODEL}/00000002.json", "another claim")


def test_a_ledger_on_an_object_store_moves_and_settles(store: _Store, tmp_path: Path) -> None:
    place = Place(tmp_path)
    kept = Ledger(place.client, MODEL, f"gs://{BUCKET}/ledger")
    for version in ("1", "2"):
        promote(kept, version)
    assert place.aliases() == {"champion": "2", "previous": "1"}
    assert sorted(name for name in store.objects if "writable" not in name) == [
        f"ledger/{MODEL}/00000001.json",
        f"ledger/{MODEL}/00000002.json",
        f"ledger/{MODEL}/done/00000001.json",
        f"ledger/{MODEL}/done/00000002.json",
    ]
