"""code/download_and_upload.py against a server that speaks Kaggle's endpoints: whole or not at all, never twice."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from buckets import Store
from gcs_service import Gcs
from kaggle_server import SIGNATURE, TOKEN, Dataset, KaggleServer

pytest.importorskip("kagglesdk")
import download_and_upload

from sentiment.jobs import ArgumentsError, DataError
from sentiment.transfer import download as downloads
from sentiment.transfer import kaggle as kaggles

SCRIPT = Path(download_and_upload.__file__)
NAME = "kazanova/sentiment140"
TWEETS = {"tweets.csv": os.urandom(300_000), "deep/er.csv": b"a,b\n", "notes.txt": "été".encode()}
ARCHIVE = "sentiment140.zip"


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[KaggleServer]:
    """The server, an account that it knows, a home without any, and pauses of a test's length."""
    for variable in [name for name in os.environ if name.startswith("KAGGLE_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    monkeypatch.setattr(downloads, "BACK_OFF_SECONDS", 0.01)
    monkeypatch.setattr(kaggles, "CHUNK", 10_000)
    with KaggleServer({NAME: Dataset(TWEETS), "a/forbidden": Dataset({}, forbidden=True)}) as server:
        monkeypatch.setenv("KAGGLE_API_ENDPOINT", server.url)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data_raw" / "sentiment140"


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the script's main; what it printed to stdout. Nothing printed anywhere shows a secret."""

    def run(*args: str) -> str:
        try:
            download_and_upload.main(["--output-dir", str(folder), *args])
        finally:
            out, err = capsys.readouterr()
            assert TOKEN not in out + err
            assert SIGNATURE not in out + err
        return out

    return run


def contents(folder: Path) -> dict[str, bytes]:
    """What lies in the folder but for the record."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".download.json"
    }


def test_the_archive_comes_whole_and_a_second_time_not_at_all(
    kaggle: KaggleServer, run: Callable[..., str], folder: Path
) -> None:
    assert "size and md5 agree" in run()
    assert contents(folder) == {ARCHIVE: kaggle.datasets[NAME].archive}
    assert "unchanged" in run()
    assert "unchanged" in run("--unzip")
    assert contents(folder) == TWEETS
    assert "unchanged" in run("--unzip")
    assert contents(folder) == TWEETS


def test_credentials_go_to_the_api_and_not_to_the_store(kaggle: KaggleServer, run: Callable[..., str]) -> None:
    kaggle.faults.cuts = [50_000]
    run()
    assert {authorization for path, _, authorization in kaggle.asked if path.startswith("/v1/")} == {f"Bearer {TOKEN}"}
    assert {authorization for path, _, authorization in kaggle.asked if path.startswith("/store/")} == {""}


def test_ten_cuts_lose_no_byte_and_fetch_none_twice(
    kaggle: KaggleServer, run: Callable[..., str], folder: Path
) -> None:
    # An answer that is asked for to learn the archive's state, and thrown away, is cut as well: two cuts a retry.
    kaggle.faults.cuts = [25_000] * 20
    run("--unzip")
    assert contents(folder) == TWEETS
    assert kaggle.faults.cuts == []
    starts = [int(wanted.removeprefix("bytes=").removesuffix("-")) for wanted in kaggle.ranges() if wanted]
    assert len(starts) == 10
    assert starts == sorted(set(starts))


def test_a_process_that_ended_in_the_middle_is_gone_on_with(
    kaggle: KaggleServer, run: Callable[..., str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kaggle.faults.cuts = [100_000, *[0] * 20]
    monkeypatch.setattr(downloads, "PATIENCE", 1)
    with pytest.raises(DataError, match="no whole answer in 2 attempts"):
        run("--unzip")
    assert {*contents(folder)} == {f"{ARCHIVE}.partial"}
    kaggle.faults.cuts.clear()
    had = len(contents(folder)[f"{ARCHIVE}.partial"])
    assert had >= 50_000
    run("--unzip")
    assert kaggle.ranges()[-1] == f"bytes={had}-"
    assert contents(folder) == TWEETS


def test_a_part_of_another_version_is_not_gone_on_with(
    kaggle: KaggleServer, run: Callable[..., str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kaggle.faults.no_hash = True  # no checksum would tell
    kaggle.faults.cuts = [100_000, *[0] * 20]
    monkeypatch.setattr(downloads, "PATIENCE", 1)
    with pytest.raises(DataError):
        run()
    kaggle.faults.cuts.clear()
    kaggle.datasets[NAME] = Dataset({**TWEETS, "tweets.csv": os.urandom(300_000)})
    run()
    assert contents(folder) == {ARCHIVE: kaggle.datasets[NAME].archive}


def test_a_new_version_replaces_the_old_one(kaggle: KaggleServer, run: Callable[..., str], folder: Path) -> None:
    run("--unzip")
    kaggle.datasets[NAME] = Dataset({**TWEETS, "notes.txt": b"new"})
    assert "size and md5 agree" in run("--unzip")
    assert contents(folder) == {**TWEETS, "notes.txt": b"new"}


def test_a_server_without_ranges_is_asked_from_the_beginning(
    kaggle: KaggleServer, run: Callable[..., str], folder: Path
) -> None:
    kaggle.faults.no_ranges = True
    kaggle.faults.cuts = [100_000, 200_000]
    run()
    assert contents(folder) == {ARCHIVE: kaggle.datasets[NAME].archive}


def test_trouble_that_passes_is_sat_out(kaggle: KaggleServer, run: Callable[..., str], folder: Path) -> None:
    kaggle.faults.statuses = [503, 429]
    kaggle.faults.store_statuses = [500, 403]  # 403 of the store: the signed address is too old, not the account
    run()
    assert contents(folder) == {ARCHIVE: kaggle.datasets[NAME].archive}


@pytest.mark.parametrize(("fault", "said"), [("wrong_md5", "found another md5"), ("extra_length", "no whole answer")])
def test_what_does_not_agree_is_not_kept_as_the_archive(
    kaggle: KaggleServer, run: Callable[..., str], folder: Path, fault: str, said: str
) -> None:
    setattr(kaggle.faults, fault, 7)
    with pytest.raises(DataError, match=said):
        run("--unzip")
    assert ARCHIVE not in contents(folder)
    assert "tweets.csv" not in contents(folder)


def test_a_corrupt_zip_is_one_line_and_leaves_nothing(
    kaggle: KaggleServer, run: Callable[..., str], folder: Path
) -> None:
    whole = bytearray(kaggle.datasets[NAME].archive)
    whole[1000] ^= 0xFF
    kaggle.datasets[NAME] = Dataset(TWEETS, bytes(whole))
    with pytest.raises(DataError, match=r"want a zip that can be read, found it corrupt: Bad CRC-32"):
        run("--unzip")
    assert not folder.exists() or contents(folder) == {}
    kaggle.datasets[NAME] = Dataset(TWEETS)
    run("--unzip")
    assert contents(folder) == TWEETS


@pytest.mark.parametrize(
    ("dataset", "token", "said"),
    [
        (
            "nobody/nothing",
            TOKEN,
            r"--dataset: want OWNER/NAME of .*, found none named nobody/nothing \(404\)",
        ),
        ("a/forbidden", TOKEN, r"--dataset a/forbidden: want one that the account of KAGGLE_API_TOKEN may read, .*403"),
        (NAME, "another", r"Kaggle refuses the credentials of KAGGLE_API_TOKEN \(401\)"),
    ],
)
def test_what_kaggle_refuses_is_one_line_at_once_and_leaves_nothing(
    kaggle: KaggleServer,
    run: Callable[..., str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    dataset: str,
    token: str,
    said: str,
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    for more in ([], ["--dry-run"]):
        with pytest.raises(DataError, match=said) as told:
            run("--dataset", dataset, *more)
        assert "\n" not in str(told.value)
        assert "another" not in str(told.value)
    assert len(kaggle.asked) == 2
    assert not folder.exists()


def test_a_server_that_is_not_there_is_one_line(
    kaggle: KaggleServer, run: Callable[..., str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kaggle
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(DataError, match=r"no whole answer in 6 attempts: .*[Rr]efused"):
        run()
    assert not folder.exists()
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", "http://example.org")
    with pytest.raises(ArgumentsError, match="KAGGLE_API_ENDPOINT: want https://HOST or http://127"):
        run()


def test_a_password_in_the_endpoint_is_not_shown(
    kaggle: KaggleServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    with_password = kaggle.url.replace("http://", "http://joe:hush@")  # pragma: allowlist secret
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", with_password)
    with pytest.raises(DataError, match=r"^--dataset a/forbidden: want one .* found it forbidden \(403\)") as told:
        download_and_upload.main(["--output-dir", str(folder), "--dataset", "a/forbidden"])
    out, err = capsys.readouterr()
    assert f"Kaggle at {kaggle.url}\n" in out
    assert "hush" not in out + err + str(told.value)
    assert len(kaggle.asked) == 1


@pytest.mark.parametrize(
    ("endpoint", "url", "own"),
    [
        ("https://joe:hush@example.org", "https://example.org/v1/x", True),  # pragma: allowlist secret
        ("https://joe:hush@example.org:443", "https://Example.org/v1/x", True),  # pragma: allowlist secret
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/x", True),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8081/v1/x", False),
        ("", "https://api.kaggle.com/v1/x", True),
        ("", "https://storage.googleapis.com/x", False),
    ],
)
def test_an_answer_is_the_api_s_by_host_and_port(endpoint: str, url: str, own: bool) -> None:
    answer = requests.Response()
    answer.status_code, answer.url = 403, url
    assert kaggles._status(requests.HTTPError(response=answer), endpoint) == (403, 0.0, own)


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("http://joe:hush@example.org", "http://example.org"),  # pragma: allowlist secret
        ("joe:hush@example.org", "example.org"),
        ("https://joe:hush@example.org:port", "https://example.org:port"),  # pragma: allowlist secret
        ("https://joe:hush@[example", "https://[example"),  # pragma: allowlist secret
        ("https://joe:hush@", "https://"),  # pragma: allowlist secret
    ],
)
def test_an_endpoint_that_is_none_is_shown_without_its_password(
    kaggle: KaggleServer, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, endpoint: str, shown: str
) -> None:
    assert kaggle
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", endpoint)
    with pytest.raises(ArgumentsError) as told:
        run()
    assert str(told.value) == f"KAGGLE_API_ENDPOINT: want https://HOST or http://127.0.0.1:PORT, found {shown!r}"


def test_a_store_that_is_not_there_is_one_line_without_the_signed_address(
    kaggle: KaggleServer, run: Callable[..., str], folder: Path
) -> None:
    kaggle.faults.store_port = 1
    with pytest.raises(DataError, match=r"no whole answer in 6 attempts: .*port=1.*[Rr]efused") as told:
        run()  # which looks at what is logged
    assert SIGNATURE not in str(told.value)
    assert not folder.exists()


def test_a_page_of_html_instead_of_an_archive_or_a_list_is_one_line(
    kaggle: KaggleServer, run: Callable[..., str], folder: Path
) -> None:
    kaggle.faults.login_page = True
    with pytest.raises(DataError, match="Kaggle: want a list of files, found an answer that its client cannot read"):
        run("--dry-run")
    with pytest.raises(DataError, match="Kaggle: want an archive, found a page of text/html"):
        run()
    assert not folder.exists()


def test_two_downloads_into_one_folder_do_not_meet(kaggle: KaggleServer, run: Callable[..., str], folder: Path) -> None:
    assert kaggle
    folder.mkdir(parents=True)
    with downloads._alone(folder), pytest.raises(DataError, match="found another at work there"):
        run()


def test_a_dry_run_lists_and_touches_nothing(
    kaggle: KaggleServer, run: Callable[..., str], folder: Path, gcs: Gcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address())
    prefix = folder.parent.parent.name
    args = ("--unzip", "--gcs-bucket", "sentiment-bucket-data", "--gcs-prefix", prefix)
    told = run(*args, "--dry-run")
    assert not folder.exists()
    assert not any("/store/" in path for path, _, _ in kaggle.asked)
    for name in TWEETS:
        assert f"would unzip {folder / name} " in told
        assert f"to gs://sentiment-bucket-data/{prefix}/{name}, unless" in told
    run(*args)
    before = contents(folder)
    told = run(*args, "--dry-run")
    assert "would download nothing" in told
    assert told.count("would leave gs://") == 3
    assert "would upload" not in told
    assert contents(folder) == before
    with pytest.raises(DataError, match="want at most --max-unzipped-gb"):
        run("--unzip", "--dataset", NAME, "--max-unzipped-gb", "0.0001", "--dry-run", "--output-dir", f"{folder}2")


def test_from_kaggle_to_the_bucket_with_a_summary(
    kaggle: KaggleServer, run: Callable[..., str], folder: Path, gcs: Gcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kaggle
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address())
    prefix = folder.parent.parent.name
    told = run("--unzip", "--gcs-bucket", "sentiment-bucket-data", "--gcs-prefix", f"/{prefix}/")
    assert "3 files, 0.3 MB unzipped" in told
    assert f"uploaded: gs://sentiment-bucket-data/{prefix}/: 3 files" in told
    with Store(gcs.port) as store:
        names = [found["name"] for found in store.objects("sentiment-bucket-data")]
        assert sorted(name for name in names if name.startswith(f"{prefix}/")) == sorted(
            f"{prefix}/{n}" for n in TWEETS
        )
        assert store.read("sentiment-bucket-data", f"{prefix}/tweets.csv") == TWEETS["tweets.csv"]


def test_a_bucket_that_is_not_there_is_told_before_anything_is_downloaded(
    kaggle: KaggleServer, run: Callable[..., str], folder: Path, gcs: Gcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address())
    with pytest.raises(DataError, match="found no gs://nowhere"):
        run("--gcs-bucket", "nowhere")
    assert kaggle.asked == []
    assert not folder.exists()


def test_the_script_ends_with_one_line_and_1_without_credentials_and_shows_no_bar(
    kaggle: KaggleServer, tmp_path: Path
) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KAGGLE_API_ENDPOINT": kaggle.url}
    command = [sys.executable, str(SCRIPT), "--output-dir", str(tmp_path / "out")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME and KAGGLE_KEY", "kaggle.json", "kaggle.com/settings/api"):
        assert name in done.stderr
    assert list(tmp_path.iterdir()) == []
    env["KAGGLE_API_TOKEN"] = TOKEN
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert zipfile.is_zipfile(tmp_path / "out" / ARCHIVE)


@pytest.mark.parametrize(
    "args",
    [
        ["--dataset", "sentiment140"],
        ["--dataset", "a/b/c"],
        ["--output-dir", "gs://bucket/x"],
        ["--gcs-bucket", "gs://bucket"],
        ["--workers", "0"],
        ["--max-unzipped-gb", "0"],
    ],
)
def test_bad_arguments_end_with_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        download_and_upload.main(args)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err.splitlines()[-1]
