"""A real Apache Kafka broker on this machine: KRaft mode, one node, from the jars of the set `broker`."""

import base64
import logging
import re
import socket
import struct
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

import jars
import settings
from daemons import Daemon, wait_until
from services import LOCAL, ServiceError, java, require_free

START_SECONDS = 90.0
TOPICS = {"sentiment-input": 3, "sentiment-predictions": 3}
JAVA_OPTIONS = ["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
PROPERTIES = "server.properties"
QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"

# Paths are relative to the broker's folder, in which it runs: this file is read as Latin-1, and a comma would end one
# of several log.dirs, so that data came to lie outside.
# Everything that Kafka keeps three times by default it keeps once here: there is one node.
# Nothing is deleted by age: a stream that rested for weeks goes on where it stood. The session is that of the broker
# with its own controller: a killed broker can come back only when it has run out.
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=data
log.retention.ms=-1
num.partitions=3
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""


class Broker:
    """One broker with everything that belongs to it under `folder`: settings, data, pid file and log.

    `port` and `controller_port` 0 stand for those of local/settings.toml.
    A broker that runs already keeps its own ports, whatever is asked for.
    """

    def __init__(self, folder: Path = LOCAL / "kafka", port: int = 0, controller_port: int = 0) -> None:
        self.folder = folder
        self.daemon = Daemon("kafka", folder)
        self._port = port
        self._controller_port = controller_port

    @property
    def port(self) -> int:
        """The port of the running broker, else the one that `start` would take."""
        note = self.daemon.note() if self.is_running() else None
        return int(note["port"]) if note else self._port or settings.port("kafka")

    @property
    def bootstrap(self) -> str:
        """What clients take as bootstrap servers."""
        return f"127.0.0.1:{self.port}"

    def is_running(self) -> bool:
        """Whether our process is alive; `is_healthy` asks more."""
        return self.daemon.pid() is not None

    def is_healthy(self) -> bool:
        """Whether the broker answers a request for metadata, and is ours: another cluster's answer does not count."""
        try:
            return self.is_running() and cluster_at(self.port) == self._cluster_id()
        except (OSError, struct.error, ValueError):
            return False

    @property
    def controller_port(self) -> int:
        """The port that `start` would take for the controller."""
        return self._controller_port or settings.port("kafka", "controller_port", self.port + 1)

    def start(self) -> None:
        """Start the broker and wait until it answers; a running one is left alone."""
        self.launch()
        wait_until("kafka", self.daemon, self.is_healthy, START_SECONDS)

    def launch(self) -> None:
        """Start the broker without waiting for an answer; a running one is left alone."""
        if self.is_running():
            return
        classpath = f"{jars.fetch('broker')}/*"
        port, controller_port = self.port, self.controller_port
        require_free(port, "kafka", settings.names("kafka", "port"))
        require_free(controller_port, "kafka (controller)", settings.names("kafka", "controller_port"))
        self._write_settings(port, controller_port)
        self._format(classpath)
        command = [java(), *JAVA_OPTIONS, QUIET, "-cp", classpath, "kafka.Kafka", PROPERTIES]
        self.daemon.start(command, cwd=self.folder, port=port)

    def stop(self) -> bool:
        """Stop it cleanly; whether that took no SIGKILL."""
        return self.daemon.stop()

    def kill(self) -> None:
        """SIGKILL, as when the power fails; `start` brings it back with its data."""
        self.daemon.kill()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers. `thaw` ends it."""
        self.daemon.freeze()

    def thaw(self) -> None:
        """SIGCONT."""
        self.daemon.thaw()

    def make_topics(self, topics: Mapping[str, int], config: Mapping[str, str] | None = None) -> None:
        """Make the topics (name to number of partitions) that are not there yet."""
        from kafka import KafkaAdminClient

        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            missing = sorted(set(topics) - set(admin.list_topics()))
            wanted = {
                name: {"num_partitions": topics[name], "replication_factor": 1, "configs": dict(config or {})}
                for name in missing
            }
            if wanted:
                admin.create_topics(wanted, wait_for_metadata=True)
        finally:
            admin.close()

    def _write_settings(self, port: int, controller_port: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = SETTINGS.format(port=port, controller_port=controller_port)
        (self.folder / PROPERTIES).write_text(text, encoding="ascii")

    def _cluster_id(self) -> str | None:
        """The id that the data belong to; None before they are made."""
        try:
            text = (self.folder / "data" / "meta.properties").read_text(encoding="utf-8")
        except OSError:
            return None
        found = re.search(r"^cluster\.id=(.+)$", text, re.MULTILINE)
        return found[1].strip() if found else None

    def _format(self, classpath: str) -> None:
        """Make the empty data folder, once."""
        if self._cluster_id() is not None:
            return
        # As Kafka's own random-uuid makes them; a leading dash would look like an option.
        cluster_id = "-"
        while cluster_id.startswith("-"):
            cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", "--cluster-id", cluster_id, "--config", PROPERTIES]
        command = [java(), QUIET, "-cp", classpath, *tool, "--ignore-formatted"]
        done = subprocess.run(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            lines = (done.stderr + done.stdout).strip().splitlines()
            raise ServiceError(f"kafka: {self.folder / 'data'} could not be made: {lines[0] if lines else 'no reason'}")


def cluster_at(port: int, patience: float = 5.0) -> str:
    """The cluster id in a Kafka broker's answer to a request for metadata.

    OSError: nobody answers; struct.error or ValueError: something answers that is no Kafka.
    """
    # Metadata, version 2, of no topics: key, version, correlation, client id, length of the list of topics.
    request = struct.pack(">hhih", 3, 2, 1, 6) + b"health" + struct.pack(">i", 0)
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        stream = connection.makefile("rb")
        (length,) = struct.unpack(">i", stream.read(4))
        if not 0 < length < 1_000_000:
            raise ValueError(f"want an answer in Kafka's protocol, got one of {length} bytes")
        answer = stream.read(length)
    position = 8  # past the correlation id, at the number of brokers
    (brokers,) = struct.unpack_from(">i", answer, 4)
    for _ in range(brokers):
        _, position = _string(answer, position + 4)  # id, host
        _, position = _string(answer, position + 4)  # port, rack
    cluster, _ = _string(answer, position)
    if not brokers or not cluster:
        raise ValueError("want a broker that is part of a cluster, got one that is not yet")
    return cluster


def _string(data: bytes, position: int) -> tuple[str, int]:
    """A string with its length in front, and the position behind it; null is ''."""
    (length,) = struct.unpack_from(">h", data, position)
    end = position + 2 + max(length, 0)
    return data[position + 2 : end].decode(), end
