"""`make up`, `make status`, `make down` and `make reset`, with small services that listen as the real ones do."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest
import serve
import settings
import supervisor
import up
from daemons import Daemon, lives
from services import ROOT, ServiceError, free_port, run_main
from supervisor import Service

# Listens once it has a child that runs, outlives it and holds the port too.
LISTENER = """
import os, socket, subprocess, sys, time
print("told", os.environ.get("ONE_ADDRESS"), flush=True)
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", int(sys.argv[1])))
os.set_inheritable(server.fileno(), True)
sleeping = "import time; print(flush=True); time.sleep(300)"
child = subprocess.Popen([sys.executable, "-c", sleeping], close_fds=False, stdout=subprocess.PIPE)
child.stdout.readline()
server.listen()
time.sleep(300)
"""


class Listener(Service):
    """A service whose health is that somebody listens."""

    start_seconds = 20
    stop_seconds = 5
    cannot = ""
    unsaved = ""

    def missing(self) -> str:
        return self.cannot

    def launch(self, env: Mapping[str, str]) -> None:
        port = self.port
        self.daemon.start([sys.executable, "-c", LISTENER, str(port)], env=env, ports={"port": port})

    def is_healthy(self) -> bool:
        with socket.socket() as probe:
            return self.is_running() and probe.connect_ex(("127.0.0.1", self.port)) == 0

    def conclude(self) -> None:
        if self.unsaved:
            raise ServiceError(self.unsaved)

    def exports(self) -> dict[str, str]:
        return {f"{self.name.upper()}_ADDRESS": self.address()}


class One(Listener):
    name = "one"


class Two(Listener):
    name = "two"


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Listener]]:
    path = tmp_path / "settings.toml"
    path.write_text(f"[one]\nport = {free_port()}\n[two]\nport = {free_port()}\n", encoding="utf-8")
    monkeypatch.setattr(settings, "PATH", path)
    made: list[Listener] = [One(tmp_path / ".local" / "one"), Two(tmp_path / ".local" / "two")]
    yield made
    for service in made:
        service.unsaved = ""
        service.stop()


def started(pair: list[Listener], *chosen: str) -> None:
    supervisor.up(pair, chosen, dict, env_file(pair))


def stopped(pair: list[Listener], *chosen: str) -> None:
    supervisor.down(pair, chosen, dict, env_file(pair))


def env_file(pair: list[Listener]) -> Path:
    return pair[0].folder.parent / "env"


def pids(pair: list[Listener]) -> list[int | None]:
    return [service.daemon.pid() for service in pair]


def test_up_starts_them_and_a_second_up_changes_nothing(
    pair: list[Listener], capsys: pytest.CaptureFixture[str]
) -> None:
    started(pair)
    first, exports = pids(pair), env_file(pair).read_text(encoding="utf-8")
    assert None not in first
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["service", "address", "state", "memory", "log"]
    assert [line.split()[:3] for line in lines[1:3]] == [[s.name, s.address(), "running"] for s in pair]
    assert all(int(line.split()[3]) > 5 for line in lines[1:3])
    started(pair)
    assert pids(pair) == first
    assert env_file(pair).read_text(encoding="utf-8") == exports
    supervisor.status(pair)


def test_each_is_told_of_those_before_it_and_never_of_an_earlier_life(
    pair: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    started(pair)
    assert "told None" in pair[0].daemon.tail()
    assert f"told {pair[0].address()}" in pair[1].daemon.tail()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "example.org")
    env = supervisor.environment({"ONE_ADDRESS": "here"})
    assert "STORAGE_EMULATOR_HOST" not in env
    assert (env["ONE_ADDRESS"], env["no_proxy"]) == ("here", "127.0.0.1,localhost,example.org")


def test_some_can_be_started_and_stopped_by_name(pair: list[Listener]) -> None:
    started(pair, "two")
    assert [service.state() for service in pair] == ["stopped", "running"]
    assert "ONE_ADDRESS" not in env_file(pair).read_text(encoding="utf-8")
    started(pair, "one")
    exports = env_file(pair).read_text(encoding="utf-8")
    assert "ONE_ADDRESS" in exports
    assert "TWO_ADDRESS" in exports
    stopped(pair, "two")
    assert [service.state() for service in pair] == ["running", "stopped"]
    assert "TWO_ADDRESS" not in env_file(pair).read_text(encoding="utf-8")


def test_a_port_in_use_is_named_with_service_and_setting_and_nothing_starts(pair: list[Listener]) -> None:
    with socket.create_server(("127.0.0.1", pair[1].port)), pytest.raises(ServiceError) as caught:
        started(pair)
    assert str(caught.value).startswith(f"two: want port {pair[1].port} on 127.0.0.1, but another program has it")
    assert "set TWO_PORT (or port under [two] in local/settings.toml) to a free port" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert pids(pair) == [None, None]


def test_one_port_for_two_is_told_with_both_settings_and_nothing_starts(
    pair: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWO_PORT", str(pair[0].port))
    with pytest.raises(
        ServiceError, match=r"^two: want a port of its own for TWO_PORT .*, found \d+ for ONE_PORT .* too$"
    ):
        started(pair)
    assert pids(pair) == [None, None]


def test_a_port_from_the_environment_counts_and_for_a_running_service_later(
    pair: list[Listener], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    monkeypatch.setenv("ONE_PORT", str(port))
    started(pair, "one")
    assert pair[0].port == port
    monkeypatch.setenv("ONE_PORT", "12345")
    started(pair, "one")
    assert pair[0].port == port
    assert f"one: ran already on port {port}; ONE_PORT=12345 counts after `make down`" in capsys.readouterr().out


def test_one_that_dies_is_shown_with_the_end_of_its_log_and_comes_back(pair: list[Listener]) -> None:
    started(pair)
    child = next(process for process in pair[0].daemon.family() if process.pid != pair[0].daemon.pid())
    pair[0].daemon.kill()
    assert pair[0].state() == "died"
    with pytest.raises(ServiceError, match=r"(?s)^one: died; the end of .*one\.log:\ntold None$"):
        supervisor.status(pair)
    assert lives(child)  # it holds the port
    started(pair)
    assert not lives(child)
    assert [service.state() for service in pair] == ["running", "running"]


def test_one_that_ends_while_it_starts_is_told_with_its_log(
    pair: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "LISTENER", "raise SystemExit('no such thing')")
    with pytest.raises(ServiceError, match=r"(?s)^one: it ended while it started; .*\nno such thing$"):
        started(pair)


@pytest.fixture
def stranger() -> "Iterator[subprocess.Popen[bytes]]":
    """A process that nobody here has to do with."""
    made = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    yield made
    made.kill()
    made.wait()


def test_down_stops_the_whole_session_of_each_and_no_stranger(
    pair: list[Listener], stranger: "subprocess.Popen[bytes]"
) -> None:
    started(pair)
    families = [process for service in pair for process in service.daemon.family()]
    assert len(families) == 4
    stopped(pair)
    assert not any(lives(process) for process in families)
    assert [service.state() for service in pair] == ["stopped", "stopped"]
    assert not env_file(pair).exists()
    assert stranger.poll() is None
    with pytest.raises(ServiceError, match=r"^status: nothing is running"):
        supervisor.status(pair)


def test_what_a_killed_one_left_in_a_session_of_its_own_is_kept_by_up_and_ended_by_down(
    pair: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = LISTENER.replace("close_fds=False", "start_new_session=True")  # as drivers of the Dataproc server are
    monkeypatch.setattr(sys.modules[__name__], "LISTENER", apart)
    started(pair, "one")
    (driver,) = psutil.Process(pair[0].daemon.pid()).children()
    pair[0].daemon.kill()
    started(pair, "one")
    assert lives(driver)
    pair[0].daemon.kill()
    stopped(pair)
    assert not lives(driver)


def test_memory_counts_children(pair: list[Listener]) -> None:
    started(pair, "one")
    alone = psutil.Process(pair[0].daemon.pid()).memory_full_info()
    assert pair[0].memory() > 1.3 * (getattr(alone, "pss", 0) or alone.rss)


def test_one_that_this_machine_cannot_run_is_skipped_in_one_line_unless_it_was_asked_for(
    pair: list[Listener], capsys: pytest.CaptureFixture[str]
) -> None:
    pair[0].cannot = "want Go on PATH, found none"
    started(pair)
    assert capsys.readouterr().err == "one: skipped: want Go on PATH, found none\n"
    assert [service.state() for service in pair] == ["stopped", "running"]
    with pytest.raises(ServiceError, match=r"^one: want Go on PATH, found none$"):
        started(pair, "one")


def test_one_that_cannot_save_what_it_holds_runs_on(pair: list[Listener]) -> None:
    started(pair)
    pair[0].unsaved = "one: no room"
    with pytest.raises(ServiceError, match=r"^one: no room$"):
        stopped(pair)
    assert [service.state() for service in pair] == ["running", "stopped"]
    assert "ONE_ADDRESS" in env_file(pair).read_text(encoding="utf-8")


def test_reset_stops_all_and_removes_the_folder_whatever_cannot_be_saved(pair: list[Listener]) -> None:
    started(pair)
    families = [process for service in pair for process in service.daemon.family()]
    pair[0].unsaved = "one: no room"
    up.reset(pair, pair[0].folder.parent)
    assert not pair[0].folder.parent.exists()
    assert not any(lives(process) for process in families)


def test_reset_ends_whose_pid_files_it_removes(
    pair: list[Listener], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "ROOT", tmp_path)
    local = pair[0].folder.parent
    stream, other = Daemon("stream", local / "serving"), Daemon("kafka", local / "test-cicd" / "kafka")
    for daemon in (stream, other):
        daemon.start([sys.executable, "-c", "import time; time.sleep(300)"])
    up.reset(pair, local)
    assert not local.exists()
    assert [stream.marked(), other.marked()] == [[], []]


def test_reset_leaves_what_is_none_of_ours_where_another_folder_was_named(
    pair: list[Listener], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pair[0].folder.parent
    for name in ("one", "jars", "theirs"):
        (folder / name).mkdir(parents=True)
    (folder / "bin").symlink_to(folder / "theirs")
    (folder / "theirs" / "thesis").touch()
    up.reset(pair, folder)
    assert [path.name for path in folder.rglob("*")] == ["theirs", "thesis"]
    assert capsys.readouterr().out.endswith("; theirs in it is none of ours and stays\n")


@pytest.mark.parametrize(
    ("words", "there", "code", "line"),
    [
        (["down"], None, 0, "down: nothing was ever started here"),
        (
            ["down"],
            ".local/kafka/kafka.pid",
            1,
            "down: want the environment of this checkout (make setup), found none, ",
        ),
        (
            ["reset"],
            ".local/kafka/kafka.pid",
            1,
            "reset: want the environment of this checkout (make setup), found none, ",
        ),
        (["reset"], ".local/jars/x.jar", 0, ""),
        (["reset", "kafka"], ".local/jars/x.jar", 1, "reset: want the environment of this checkout (make setup) for "),
    ],
)
def test_without_the_environment_nothing_is_touched_that_may_run(
    tmp_path: Path, words: list[str], there: str | None, code: int, line: str
) -> None:
    (tmp_path / "local").mkdir()
    shutil.copy(ROOT / "local" / "services.sh", tmp_path / "local")
    if there:
        (tmp_path / there).parent.mkdir(parents=True)
        (tmp_path / there).touch()
    script, env = str(tmp_path / "local" / "services.sh"), {"PATH": os.environ["PATH"]}
    done = subprocess.run([script, *words], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert (done.stdout + done.stderr).startswith(line)
    assert not there or (tmp_path / there).exists() == bool(code)
    other = subprocess.run([script, "reset"], env={**env, "SENTIMENT_LOCAL": "/x"}, capture_output=True, check=False)
    assert other.returncode == 1


def test_the_environment_file_can_be_sourced_twice(pair: list[Listener], capsys: pytest.CaptureFixture[str]) -> None:
    started(pair, "one")
    path = env_file(pair)
    assert capsys.readouterr().out.splitlines()[-1] == f"In other shells: . {path}    To stop: make down"
    assert path.read_text(encoding="utf-8").startswith(f"# Written by `make up`: `. {path}` in a shell")
    assert supervisor._sourced(ROOT / ".local" / "env") == ".local/env"
    script = f'. "{path}"; . "{path}"; echo "$ONE_ADDRESS"; echo "$PATH"; echo "$NO_PROXY"; echo "$no_proxy"'
    env = {"PATH": "/bin", "NO_PROXY": "example.org"}
    done = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        pair[0].address(),
        f"{path.parent}/bin:{Path(sys.executable).parent}:/bin",
        "127.0.0.1,localhost,example.org",
        "127.0.0.1,localhost",
    ]


def test_a_name_that_is_no_service_or_does_not_count_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "LOCAL", tmp_path / "absent")
    monkeypatch.setattr(up, "SERVICES", [])
    with pytest.raises(ServiceError, match=r"^up: want SERVICES out of kafka, gcs, mlflow.*; found kafak$"):
        up.main(["up", "kafka", "kafak"])
    with pytest.raises(ServiceError, match=r"^reset: want no SERVICES, as the data of all of them go; found kafka$"):
        up.main(["reset", "kafka"])


def test_a_wrong_argument_or_setting_is_exit_code_2_and_a_fault_of_a_service_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_PORT", "abc")
    monkeypatch.setenv("DATA", str(tmp_path / "absent"))
    calls: list[tuple[int, str, Callable[[], object]]] = [
        (2, "up: want SERVICES out of", lambda: up.main(["up", "nothere"])),
        (2, "KAFKA_PORT: want a port number", lambda: settings.port("kafka")),
        (2, "serve: want DATA to name", serve.data),
        (1, "serve: want a champion of", lambda: serve.require_champion(tmp_path)),
    ]
    for code, first, call in calls:
        with pytest.raises(SystemExit) as ended:
            run_main(call)
        assert (ended.value.code, capsys.readouterr().err[: len(first)]) == (code, first)


@pytest.mark.parametrize("place", ["/proc/absent", "/dev/null"])
@pytest.mark.parametrize("command", ["up", "down", "reset"])
def test_a_place_that_is_no_folder_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, place: str, command: str
) -> None:
    monkeypatch.setattr(up, "LOCAL", Path(place))
    monkeypatch.setattr(up, "SERVICES", [])
    with pytest.raises(ServiceError, match=rf"^SENTIMENT_LOCAL: want a folder .*, found {place}: [A-Z][a-z ]+$"):
        up.main([command])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[one", "want a file in TOML"),
        ("", r"want port under \[one\], found none"),
        ("[one]\nport = 0", r"want port under \[one\] to be a port number from 1 to 65535, found 0"),
        ("[one]\nport = '80'", "to be a port number from 1 to 65535, found '80'"),
        ("[one]\nport = true", "to be a port number from 1 to 65535, found True"),
        ("[one]\nport = 65536", "found 65536"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(pair: list[Listener], content: str, message: str) -> None:
    settings.PATH.write_text(content, encoding="utf-8")
    with pytest.raises(ServiceError, match=rf"^local/settings\.toml: .*{message}") as caught:
        settings.port("one")
    assert "\n" not in str(caught.value)
    assert pair[0].daemon.pid() is None


def test_settings_of_the_checkout_can_be_read_and_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.port("kafka", "controller_port", 9093) == 9093
    monkeypatch.setenv("GCS_BUCKETS", "a b")
    monkeypatch.setenv("CLOUD_PROJECT", "mine")
    assert settings.words("gcs", "buckets") == ["a", "b"]
    assert settings.text("cloud", "project") == "mine"
    monkeypatch.setenv("CLUSTER_WORKER_CORES", "2")
    assert settings.whole("cluster", "worker_cores") == 2
    monkeypatch.setenv("CLUSTER_WORKER_CORES", "0")
    with pytest.raises(ServiceError, match=r"^CLUSTER_WORKER_CORES: want a whole number >= 1, got '0'$"):
        settings.whole("cluster", "worker_cores")
    monkeypatch.setenv("GCS_PORT", "http")
    with pytest.raises(ServiceError, match=r"^GCS_PORT: want a port number from 1 to 65535, got 'http'$"):
        settings.port("gcs")
