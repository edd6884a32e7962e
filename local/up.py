"""Start, stop and show the local services: `make up`, `make down`, `make status`."""

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import jars
from broker import TOPICS, Broker
from services import LOCAL, ROOT, Daemon, ServiceError, locked, run_main

# Kafka's own commands by the names that its distribution gives them.
KAFKA_TOOLS = {
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


class Kafka:
    """The broker as one of the services."""

    name = "kafka"

    def __init__(self) -> None:
        self.broker = Broker()
        self.daemon: Daemon = self.broker.daemon

    def up(self) -> None:
        """Start it and make its topics; nothing changes when all that is there."""
        self.broker.start()
        self.broker.make_topics(TOPICS)
        write_tools(LOCAL / "bin")

    def down(self) -> None:
        """Stop it; its data stay."""
        if not self.broker.stop():
            print("kafka: did not stop when it was asked to, and was killed")

    def address(self) -> str:
        """Where clients find it."""
        return self.broker.bootstrap

    def state(self) -> str:
        """running, stopped, or that it lives without answering."""
        if not self.broker.is_running():
            return "stopped"
        return "running" if self.broker.is_healthy() else "no answer"

    def exports(self) -> dict[str, str]:
        """What other shells need to know."""
        return {"KAFKA_BOOTSTRAP": self.broker.bootstrap}


SERVICES = [Kafka]  # in the order in which they start


def write_tools(folder: Path) -> None:
    """Write Kafka's commands as thin wrappers over the jars."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, main_class in KAFKA_TOOLS.items():
        path = folder / name
        path.write_text(TOOL.format(main_class=main_class), encoding="utf-8")
        path.chmod(0o755)


def write_env(services: Sequence[Kafka], path: Path = LOCAL / "env") -> None:
    """Write lines of `export` that tell other shells where the services are; sourced twice, they say it once."""
    lines = ["# Written by `make up`: `. .local/env` in a shell of your own."]
    for service in services:
        lines += [f"export {name}={shlex.quote(value)}" for name, value in service.exports().items()]
    tools = shlex.quote(str(LOCAL / "bin"))
    lines.append(f'case ":$PATH:" in *:{tools}:*) ;; *) export PATH={tools}:"$PATH" ;; esac')
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(path)


def table(services: Sequence[Kafka]) -> str:
    """Service, address, state, pid and log file, one line each."""
    rows = [("service", "address", "state", "pid", "log")]
    for service in services:
        log = os.path.relpath(service.daemon.log_file, ROOT)
        rows.append((service.name, service.address(), service.state(), str(service.daemon.pid() or "-"), log))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def up(services: Sequence[Kafka]) -> None:
    """Fetch what is needed, start every service, and show them."""
    asked = os.environ.get("KAFKA_PORT")
    jars.connector_jars()
    for service in services:
        service.up()
    write_env(services)
    print(table(services))
    print("In other shells: . .local/env    To stop: make down")
    if asked and not services[0].address().endswith(f":{asked}"):
        print(f"kafka: ran already on {services[0].address()}; KAFKA_PORT={asked} counts after `make down`")


def down(services: Sequence[Kafka]) -> None:
    """Stop every service, the last one first."""
    for service in reversed(services):
        service.down()
    (LOCAL / "env").unlink(missing_ok=True)  # it would name services that are gone
    print(table(services))


def status(services: Sequence[Kafka]) -> None:
    """Show the services; ServiceError when one of them is not running."""
    print(table(services))
    away = [service.name for service in services if service.state() != "running"]
    if away:
        raise ServiceError(f"status: not running: {', '.join(away)} (make up)")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("command", choices=["up", "down", "status"], help="what to do")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    command = parse_args(argv).command
    services = [service() for service in SERVICES]
    if command == "status":
        status(services)
        return
    with locked(LOCAL / "up.lock"):
        (up if command == "up" else down)(services)


if __name__ == "__main__":
    run_main(main)
