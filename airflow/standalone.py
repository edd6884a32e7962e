"""`airflow standalone`, but for this machine alone: its two servers of log files, open to the network, are left out.

The web page reads the log files itself. It ends on SIGINT with all its children; SIGTERM would leave them behind.
"""

import argparse
import os
import signal
import sys
from typing import Any

SERVE_LOGS = ("scheduler", "triggerer")


def run() -> None:
    """Run it until SIGINT."""
    from airflow.cli.commands import standalone_command as standalone
    from airflow.configuration import write_default_airflow_configuration_if_needed

    class Part(standalone.SubCommand):
        """One of Airflow's processes."""

        def __init__(self, parent: Any, name: str, command: list[str], env: dict[str, str]) -> None:
            if name in SERVE_LOGS:
                command = [*command, "--skip-serve-logs"]
            super().__init__(parent, name, command, env)

    # Here, once: parts that find none make one each, and one that reads it half-written takes no other's signature.
    write_default_airflow_configuration_if_needed()
    standalone.SubCommand = Part  # type: ignore[misc]
    standalone.StandaloneCommand().run()  # type: ignore[no-untyped-call]


def main() -> None:
    """Run it in a session of its own."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    if os.getsid(0) != os.getpid():
        os.setsid()
    # A shell starts what is in the background with SIGINT ignored. Airflow takes seconds to load: before that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
