#!/usr/bin/env bash
# Starts the Airflow that setup_local.sh has made: web page, scheduler, triggerer, DAG processor; waits until all answer.
#
#   airflow/start_services.sh
#
# AIRFLOW_HOME names its home (default: .airflow). airflow/stop_services.sh ends it.
set -euo pipefail
case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
# shellcheck source=airflow/home.sh
. "$here/home.sh"
if [ ! -f "$home/env" ]; then
  echo "start_services: want an Airflow home at $home, found none: airflow/setup_local.sh makes it" >&2
  exit 1
fi
# shellcheck source=/dev/null
. "$home/env"
log=$home/airflow.log

pid='' address=''
if [ -f "$pid_file" ]; then read -r pid address <"$pid_file" || true; fi
if [ -n "$pid" ] && is_airflow "$pid"; then
  ran=1 address=${address:-$AIRFLOW__API__BASE_URL}
else
  # Whoever answers on this port from here on is the Airflow that is started now.
  PYTHONPATH=local .venv/bin/python -c '
import sys, services
services.run_main(lambda: services.require_free(int(sys.argv[1]), *sys.argv[2:]))
' "$AIRFLOW__API__PORT" start_services 'AIRFLOW_PORT for airflow/setup_local.sh'
  .venv/bin/python -P airflow/standalone.py >"$log" 2>&1 </dev/null &
  ran='' pid=$! address=$AIRFLOW__API__BASE_URL
  echo "$pid $address" >"$pid_file"
fi

began=$SECONDS
until .venv/bin/python -c '
import json, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
parts = json.load(opener.open(sys.argv[1] + "/api/v2/monitor/health", timeout=10)).values()
sys.exit(any((part or {}).get("status") != "healthy" for part in parts))
' "$address" 2>/dev/null; do
  if ! kill -0 "$pid" 2>/dev/null; then
    tail -n 15 "$log" >&2
    echo "start_services: it ended while it started; all it said is in $log" >&2
    rm -f "$pid_file"
    exit 1
  fi
  if [ $((SECONDS - began)) -gt "${START_SECONDS:-600}" ]; then
    echo "start_services: no answer after $((SECONDS - began)) s; look at $log; airflow/stop_services.sh ends it" >&2
    exit 1
  fi
  sleep 2
done
if [ -n "$ran" ]; then
  echo "start_services: it runs already, at $address"
  if [ "$address" != "$AIRFLOW__API__BASE_URL" ]; then
    echo "start_services: $AIRFLOW__API__BASE_URL counts after airflow/stop_services.sh"
  fi
  exit 0
fi
echo "start_services: $address answers after $((SECONDS - began)) s"
echo "start_services: log in as admin, password admin (or what $home/passwords.json has)"
