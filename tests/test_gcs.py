"""The object store: its buckets, what `make down` saves and `make up` loads, its installation, and MLflow upon it."""

import gzip
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import gcs_service
import pytest
import settings
import supervisor
from buckets import Store, load, save
from daemons import lives, wait_until
from gcs_service import Gcs
from local_gcs import restart, start_gcs
from mlflow_service import Mlflow
from services import ServiceError, free_port
from supervisor import environment

# Names that no folder on a disk could hold side by side, and that a URL or a zip would like to change.
OBJECTS = {
    "a": b"1",
    "a/b": b"2",
    "a/": b"",
    "été/ü ?#%2F&+.txt": b"3",
    "/leading//double": b"4",
    "empty": b"",
    "big": os.urandom(3_000_000),
    "_temporary/0/": b"",
}


@pytest.fixture
def fresh(tmp_path: Path, gcs_binaries: Path) -> Iterator[Gcs]:
    """An object store of the test's own."""
    made = start_gcs(tmp_path / "gcs", gcs_binaries)
    yield made
    made.stop()


def contents(store: Gcs, bucket: str) -> dict[str, bytes]:
    with Store(store.port) as connection:
        return {found["name"]: connection.read(bucket, found["name"]) for found in connection.objects(bucket)}


def test_the_buckets_of_the_suite_are_there_and_a_second_up_leaves_what_they_hold(gcs: Gcs) -> None:
    with Store(gcs.port) as store:
        assert set(settings.words("gcs", "buckets")) <= set(store.buckets())
        store.write("sentiment-bucket-data", "kept", b"as it is")
    gcs.complete()
    assert contents(gcs, "sentiment-bucket-data")["kept"] == b"as it is"


def test_what_down_saves_up_loads_whatever_its_names(fresh: Gcs, capsys: pytest.CaptureFixture[str]) -> None:
    about = {"contentType": "text/x-odd; charset=utf-8", "metadata": {"who": "été"}}
    with Store(fresh.port) as store:
        store.make_buckets(["mine", "empty-one"])
        for name, content in OBJECTS.items():
            store.write("mine", name, content)
        store.write("mine", "told", b"5", about)
    fresh.conclude()
    assert fresh.stop()
    assert "9 objects (3.0 MB) saved to " in capsys.readouterr().out
    restart(fresh)
    assert contents(fresh, "mine") == {**OBJECTS, "told": b"5"}
    with Store(fresh.port) as store:
        assert "empty-one" in store.buckets()
        (told,) = [found for found in store.objects("mine") if found["name"] == "told"]
    assert {key: told[key] for key in about} == about


def test_one_that_was_killed_comes_back_with_what_was_saved_last(fresh: Gcs) -> None:
    with Store(fresh.port) as store:
        store.write("sentiment-bucket", "saved", b"1")
        fresh.conclude()
        store.write("sentiment-bucket", "lost", b"2")
    fresh.daemon.kill()
    assert fresh.state() == "died"
    fresh.clear()
    restart(fresh)
    assert contents(fresh, "sentiment-bucket") == {"saved": b"1"}


def test_a_door_that_was_killed_costs_nothing_that_the_store_holds(
    fresh: Gcs, capsys: pytest.CaptureFixture[str]
) -> None:
    env_file, store = fresh.folder / "env", fresh.daemon.pid()
    with Store(fresh.port) as connection:
        connection.write("sentiment-bucket", "kept", b"1")
    fresh.front.kill()
    assert fresh.state() == "died"
    supervisor.up([fresh], ["gcs"], dict, env_file)
    assert (fresh.state(), fresh.daemon.pid()) == ("running", store)
    assert contents(fresh, "sentiment-bucket") == {"kept": b"1"}
    fresh.front.kill()
    supervisor.down([fresh], ["gcs"], dict, env_file)
    assert "lost" not in capsys.readouterr().err
    restart(fresh)
    assert contents(fresh, "sentiment-bucket") == {"kept": b"1"}


def test_what_is_gzip_is_saved_and_loaded_as_it_is_time_and_again(gcs: Gcs, tmp_path: Path) -> None:
    path, packed = tmp_path / "buckets.zip", gzip.compress(b"tweets " * 1000)
    with Store(gcs.port) as store:
        store.write("sentiment-bucket-staging", "packed", packed, {"contentEncoding": "gzip"})
        sums = []
        for _ in range(2):
            sums += [
                found["crc32c"] for found in store.objects("sentiment-bucket-staging") if found["name"] == "packed"
            ]
            save(store, path)
            load(store, path)
        assert store.read("sentiment-bucket-staging", "packed") == packed
    assert len(set(sums)) == 1


def test_a_start_that_was_cut_before_it_loaded_never_saves_its_emptiness(
    fresh: Gcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(fresh.port) as store:
        store.write("sentiment-bucket", "saved", b"1")
    fresh.conclude()
    fresh.stop()
    with monkeypatch.context() as patched:
        patched.setattr("buckets.load", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            restart(fresh)
    fresh.conclude()  # `make down`
    fresh.complete()  # or a second `make up`
    assert contents(fresh, "sentiment-bucket") == {"saved": b"1"}


def test_a_disk_that_cannot_take_the_buckets_keeps_what_was_saved(gcs: Gcs, tmp_path: Path) -> None:
    with Store(gcs.port) as store:
        with pytest.raises(ServiceError, match=r"^gcs: the buckets could not be saved to .*: No such file") as caught:
            save(store, tmp_path / "nowhere" / "buckets.zip")
        assert "\n" not in str(caught.value)
        (tmp_path / "buckets.zip").write_bytes(b"no zip")
        with pytest.raises(ServiceError, match=r"^gcs: want the saved buckets in .*zip, found a file that cannot be"):
            load(store, tmp_path / "buckets.zip")


def test_a_save_that_breaks_off_leaves_the_one_before(gcs: Gcs, tmp_path: Path) -> None:
    path = tmp_path / "buckets.zip"
    with Store(gcs.port) as store:
        save(store, path)
        before = path.read_bytes()
        store.read = lambda *_: (_ for _ in ()).throw(ServiceError("gcs: no answer"))  # type: ignore[method-assign]
        store.write("sentiment-bucket", "one-more", b"1")
        with pytest.raises(ServiceError, match="no answer"):
            save(store, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert zipfile.is_zipfile(path)


def test_a_store_that_is_not_there_is_told_in_one_line() -> None:
    with (
        Store(free_port()) as store,
        pytest.raises(ServiceError, match=r"^gcs: no answer on 127\.0\.0\.1:\d+: .*refused"),
    ):
        store.buckets()


GO = """#!/bin/sh
echo "$@" >>"$0.log"
echo 'go: downloading something'
[ ! -e "$0.broken" ] || { echo 'go: module lookup disabled by GOPROXY=off'; exit 1; }
: >"$GOBIN/fake-gcs-server"
"""


def test_it_is_installed_once_at_its_pin_and_a_failure_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "sdk" / "go"
    go.parent.mkdir()
    go.write_text(GO, encoding="utf-8")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(go.parent), prepend=os.pathsep)
    broken, folder = go.with_name("go.broken"), tmp_path / "bin"
    broken.touch()
    with pytest.raises(ServiceError, match=r"^gcs: installing .*: go: module lookup disabled by GOPROXY=off \(all of"):
        gcs_service.install(folder)
    broken.unlink()
    for _ in range(2):
        gcs_service.install(folder)
    monkeypatch.setenv("GCS_VERSION", "v1.52.2")
    gcs_service.install(folder)
    asked = [line.rpartition("@")[2] for line in go.with_name("go.log").read_text(encoding="utf-8").splitlines()]
    assert asked == ["v1.56.1", "v1.56.1", "v1.52.2"]


def test_without_go_it_is_skipped_with_what_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    service = Gcs(tmp_path / "gcs", free_port(), tmp_path / "bin")
    assert service.missing().startswith("want Go on PATH to install fake-gcs-server once, found none")


def test_where_artifacts_lie_is_decided_once(tmp_path: Path) -> None:
    service = Mlflow(tmp_path / "mlflow", free_port())
    assert service.place(has_store=True) == "gs://sentiment-bucket-mlflow"
    assert service.place(has_store=False) == str(tmp_path / "mlflow")
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "artifacts-are-in").write_text("gs://mine", encoding="utf-8")
    (tmp_path / "mlflow" / "mlflow.db").touch()
    assert service.place(has_store=True) == "gs://mine"
    with pytest.raises(ServiceError, match=r"^mlflow: its artifacts are in gs://mine: want gcs to run too, found it"):
        service.place(has_store=False)


LOG_A_RUN = """
import mlflow
mlflow.set_experiment("stack")
with mlflow.start_run() as run:
    mlflow.log_text("été", "folder/note.txt")
print(mlflow.artifacts.load_text(run.info.artifact_uri + "/folder/note.txt"))
"""


def test_mlflow_keeps_artifacts_in_the_bucket_and_ends_with_all_its_processes(gcs: Gcs, tmp_path: Path) -> None:
    service = Mlflow(tmp_path / "mlflow", free_port())
    service.launch(environment(gcs.exports()))
    try:
        wait_until(service.name, service.daemon, service.is_healthy, 240)
        assert service.exports()["SENTIMENT_LEDGER"] == "gs://sentiment-bucket-mlflow/ledger"
        env = {**environment(service.exports()), "PYTHONUTF8": "1"}
        done = subprocess.run(
            [sys.executable, "-c", LOG_A_RUN], env=env, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "été"
        stored = [name for name in contents(gcs, "sentiment-bucket-mlflow") if name.endswith("folder/note.txt")]
        assert len(stored) == 1
        family = service.daemon.family()
        assert len(family) > 1
        assert service.memory() < 1.5 * 2**30
    finally:
        assert service.stop()
    assert not any(lives(process) for process in family)
