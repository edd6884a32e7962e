"""The local broker: started once, found again, stopped, killed; and nobody else's process ever touched."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker import Broker, cluster_at
from daemons import Daemon
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka_service import Kafka, write_tools
from services import ServiceError, free_port, port_setting, require_free

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon("sleeper", tmp_path)
    yield made
    made.kill()


def values(bootstrap: str, topic: str) -> list[bytes]:
    """All that lies in a topic's partition 0."""
    part = TopicPartition(topic, 0)
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    consumer.assign([part])
    end, found = consumer.end_offsets([part])[part], []
    while consumer.position(part) < end:
        found += [record.value for record in consumer.poll(timeout_ms=500).get(part, [])]
    consumer.close()
    return found


def test_a_broker_started_again_is_the_same_and_topics_are_made_once(broker: Broker) -> None:
    before = broker.daemon.pid()
    again = Broker(broker.folder, free_port(), free_port())  # as another `make up`, with other ports
    again.start()
    assert (again.daemon.pid(), again.bootstrap) == (before, broker.bootstrap)
    for _ in range(2):
        again.make_topics({"made-once": 3})
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    (topic,) = admin.describe_topics(["made-once"])
    admin.close()
    assert len(topic["partitions"]) == 3


def test_a_killed_broker_comes_back_with_its_data_and_a_stopped_one_leaves_no_pid(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "with space, ä", free_port(), free_port())
    broker.start()
    try:
        broker.make_topics({"kept": 1})
        with KafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            producer.send("kept", b"before the kill").get(timeout=20)
        first = broker.daemon.pid()
        broker.kill()
        assert not broker.is_healthy()
        broker.start()
        assert broker.daemon.pid() not in (None, first)
        assert values(broker.bootstrap, "kept") == [b"before the kill"]
    finally:
        clean = broker.stop()
    assert clean
    assert [path.name for path in tmp_path.iterdir()] == [broker.folder.name]  # no data outside
    assert not broker.daemon.pid_file.exists()
    with pytest.raises(OSError, match="refused"):
        cluster_at(broker.port)


def test_a_frozen_broker_is_alive_but_not_healthy(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.cluster_at", lambda port: cluster_at(port, patience=1))
    broker.freeze()
    try:
        assert broker.is_running()
        assert not broker.is_healthy()
    finally:
        broker.thaw()
    assert broker.is_healthy()


def test_another_cluster_on_our_port_is_not_taken_for_ours(broker: Broker, tmp_path: Path) -> None:
    other = Broker(tmp_path, broker.port)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").write_text("cluster.id=AnotherClusterAltogeth\n", encoding="utf-8")
    note = {**(broker.daemon.note() or {})}
    other.daemon.pid_file.write_text(json.dumps(note), encoding="utf-8")
    assert other.is_running()
    assert not other.is_healthy()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_something_that_is_no_kafka_is_not_healthy(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        client.close()
        connection, _ = server.accept()
        connection.close()
        port = server.getsockname()[1]
        code = f"import sys; sys.path[:0] = {sys.path!r}; from broker import cluster_at; cluster_at({port}, 3)"
        asking = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
        connection, _ = server.accept()
        connection.recv(100)
        connection.sendall(answer)
        connection.close()
        _, error = asking.communicate(timeout=30)
    assert asking.returncode == 1
    assert error.strip().splitlines()[-1].startswith(("ValueError", "struct.error", "ConnectionResetError"))


def test_a_port_in_use_gets_one_line_with_service_and_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ServiceError) as caught:
            Broker(tmp_path, port, free_port()).start()
        with pytest.raises(ServiceError, match="KAFKA_CONTROLLER_PORT"):
            Broker(tmp_path, free_port(), port).start()
    assert str(caught.value).startswith(f"kafka: want port {port} on 127.0.0.1, but another program has it")
    assert "KAFKA_PORT" in str(caught.value)
    assert "\n" not in str(caught.value)
    require_free(port, "kafka", "KAFKA_PORT")


def test_the_broker_as_a_service_names_its_ports_and_shows_its_memory(broker: Broker, tmp_path: Path) -> None:
    service = Kafka(broker)
    assert service.state() == "running"
    topics = {"KAFKA_INPUT_TOPIC": "sentiment-input", "KAFKA_OUTPUT_TOPIC": "sentiment-predictions"}
    assert service.exports() == {"KAFKA_BOOTSTRAP": broker.bootstrap, **topics}
    assert 100 * 2**20 < service.memory() < 1000 * 2**20
    other = Kafka(Broker(tmp_path, free_port(), broker.port))
    with pytest.raises(ServiceError, match=rf"^kafka: want port {broker.port} .* set KAFKA_CONTROLLER_PORT \(or contr"):
        other.require_ports()


def test_a_broker_that_dies_at_the_start_shows_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.JAVA_OPTIONS", ["-Xmx1m", "-XX:NoSuchOption"])
    with pytest.raises(ServiceError, match="ended while it started") as caught:
        Broker(tmp_path, free_port(), free_port()).start()
    assert "NoSuchOption" in str(caught.value)


def test_a_pid_that_belongs_to_another_program_by_now_is_left_alone(daemon: Daemon) -> None:
    stranger = subprocess.Popen(SLEEP)
    time.sleep(0.05)  # start times are told apart to the hundredth of a second
    try:
        daemon.start(SLEEP)
        note = daemon.note() or {}
        own = note["pid"]
        daemon.pid_file.write_text(json.dumps({**note, "pid": stranger.pid}), encoding="utf-8")
        assert daemon.pid() is None
        assert not daemon.signal(signal.SIGTERM)
        daemon.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        os.kill(own, signal.SIGKILL)


@pytest.mark.parametrize("note", ["", "{", "[]", '{"pid": "x"}', '{"pid": 999999999, "identity": null}'])
def test_a_broken_pid_file_means_that_nothing_runs(daemon: Daemon, note: str) -> None:
    daemon.pid_file.write_text(note, encoding="utf-8")
    assert daemon.pid() is None


def test_a_process_that_ignores_sigterm_is_killed_in_the_end(daemon: Daemon) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    daemon.start([sys.executable, "-c", code])
    until = time.monotonic() + 20
    while "up" not in daemon.tail():
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not daemon.stop(patience=0.5)
    assert daemon.pid() is None


def test_nothing_goes_on_once_a_process_is_frozen(daemon: Daemon) -> None:
    busy = "while True: hashlib.md5(bytes(10_000)); os.write(1, b'.')"  # without the interpreter's lock, as in a JVM
    threads = f"for _ in range(4): threading.Thread(target=exec, args=({busy!r}, globals())).start()"
    daemon.start([sys.executable, "-c", f"import hashlib, os, threading\n{threads}"])
    size = 0
    for _ in range(50):
        daemon.freeze()
        frozen = daemon.log_file.stat().st_size
        time.sleep(0.01)
        assert daemon.log_file.stat().st_size == frozen
        daemon.thaw()
        until = time.monotonic() + 20
        while (now := daemon.log_file.stat().st_size) <= max(size, frozen):
            assert time.monotonic() < until
            time.sleep(0.001)
        size = now
    daemon.kill()
    with pytest.raises(ServiceError, match=r"^sleeper: want a process that SIGSTOP stops, found none$"):
        daemon.freeze()


def test_a_log_of_the_time_before_is_kept(daemon: Daemon) -> None:
    for word in ("first", "second"):
        daemon.start([sys.executable, "-c", f"print('{word}')"])
        assert daemon.wait(20)
    assert daemon.tail() == "second"
    assert daemon.log_file.with_suffix(".log.1").read_text(encoding="utf-8") == "first\n"


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http"])
def test_a_port_that_is_none_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PORT", text)
    with pytest.raises(ServiceError, match=f"^KAFKA_PORT: want a port number from 1 to 65535, got '{text}'$"):
        port_setting("KAFKA_PORT", 9092)


def test_kafkas_own_commands_work_from_any_folder(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jars

    local = tmp_path / "local folder"
    write_tools(local / "bin")
    (local / "jars").symlink_to(jars.FOLDER)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o755 for path in (local / "bin").iterdir())
    monkeypatch.chdir(tmp_path)

    def tool(name: str, *arguments: str, sent: str = "") -> str:
        command = [f"{local}/bin/{name}", "--bootstrap-server", broker.bootstrap, *arguments]
        return subprocess.run(command, input=sent, capture_output=True, text=True, check=True, timeout=60).stdout

    tool("kafka-topics.sh", "--create", "--topic", "by-hand", "--partitions", "1")
    tool("kafka-console-producer.sh", "--topic", "by-hand", sent="one\ntwo\n")
    consumed = tool("kafka-console-consumer.sh", "--topic", "by-hand", "--from-beginning", "--max-messages", "2")
    assert consumed == "one\ntwo\n"
