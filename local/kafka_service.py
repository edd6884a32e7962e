"""The broker as one of the services."""

from collections.abc import Mapping
from pathlib import Path

import jars
from broker import TOPICS, Broker
from services import LOCAL
from supervisor import Service

# Kafka's own commands by the names that its distribution gives them.
TOOLS = {
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-producer.sh": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
}
# The jars are found from the script's own place: it works from any folder, and moves with the checkout.
TOOL = """\
#!/bin/sh
# Written by `make up`.
jars=$(cd "$(dirname "$0")/../jars/broker" && pwd) || exit
exec "${{JAVA_HOME:+$JAVA_HOME/bin/}}java" -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \\
  -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$jars/*" {main_class} "$@"
"""


class Kafka(Service):
    """Apache Kafka, one node."""

    name = "kafka"

    def __init__(self, broker: Broker | None = None) -> None:
        self.broker = broker or Broker()
        super().__init__(self.broker.folder)
        self.daemon = self.broker.daemon

    def ports(self) -> dict[str, int]:
        if self.is_running():
            return {"port": self.broker.port}
        return {"port": self.broker.port, "controller_port": self.broker.controller_port}

    def prepare(self) -> None:
        jars.fetch("broker")

    def launch(self, env: Mapping[str, str]) -> None:  # noqa: ARG002  the broker asks nothing of the others
        self.broker.launch()

    def is_healthy(self) -> bool:
        return self.broker.is_healthy()

    def complete(self) -> None:
        self.broker.make_topics(TOPICS)
        write_tools(LOCAL / "bin")

    def address(self) -> str:
        return self.broker.bootstrap

    def exports(self) -> dict[str, str]:
        topics = zip(("KAFKA_INPUT_TOPIC", "KAFKA_OUTPUT_TOPIC"), TOPICS, strict=True)
        return {"KAFKA_BOOTSTRAP": self.broker.bootstrap, **dict(topics)}


def write_tools(folder: Path) -> None:
    """Write Kafka's commands as thin wrappers over the jars."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, main_class in TOOLS.items():
        path = folder / name
        path.write_text(TOOL.format(main_class=main_class), encoding="utf-8")
        path.chmod(0o755)
