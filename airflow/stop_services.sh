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
pid=$(cat "$pid_file")
if ! is_airflow "$pid"; then
  rm -f "$pid_file"
  echo 'stop_services: it had ended already'
  exit 0
fi
kill -INT "$pid"
began=$SECONDS
while kill -0 "$pid" 2>/dev/null; do
  case $(ps -o stat= -p "$pid" 2>/dev/null) in Z* | '') break ;; esac
  if [ $((SECONDS - began)) -gt 60 ]; then
    echo "stop_services: it goes on 60 s after SIGINT, and is killed with its children" >&2
    kill -KILL -- "-$pid"
    break
  fi
  sleep 0.5
done
rm -f "$pid_file"
echo 'stop_services: ended'
