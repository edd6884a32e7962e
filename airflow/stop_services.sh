#!/usr/bin/env bash
# Ends the Airflow that start_services.sh has started, with all its children; its home stays.
#
#   airflow/stop_services.sh
#
# AIRFLOW_HOME names its home (default: .airflow).
set -euo pipefail
case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
# shellcheck source=airflow/home.sh
. "$here/home.sh"
if [ ! -f "$pid_file" ]; then
  echo "stop_services: nothing was started in $home"
  exit 0
fi
read -r pid _ <"$pid_file" || true
if ! is_airflow "$pid"; then
  rm -f "$pid_file"
  echo 'stop_services: it had ended already'
  exit 0
fi
kill -INT "$pid"
began=$SECONDS
while kill -0 "$pid" 2>/dev/null; do
  case $(ps -o stat= -p "$pid" 2>/dev/null) in Z* | '') break ;; esac
  if [ $((SECONDS - began)) -gt "${STOP_SECONDS:-60}" ]; then
    echo "stop_services: it goes on ${STOP_SECONDS:-60} s after SIGINT, and is killed with its children" >&2
    # Each of its tasks has a process group of its own, all of them have its session.
    PYTHONPATH=local .venv/bin/python -c '
import os, sys
from contextlib import suppress
import daemons, psutil

def session():
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == int(sys.argv[1]) and daemons.lives(process):
                yield process

while left := list(session()):  # what they have started meanwhile too
    daemons.end(left, 0)
' "$pid"
    break
  fi
  sleep 0.5
done
rm -f "$pid_file"
echo 'stop_services: ended'
