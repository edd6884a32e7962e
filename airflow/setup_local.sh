#!/usr/bin/env bash
# Makes an Airflow home in this checkout, for those who want Airflow without the other local services (make up).
#
#   airflow/setup_local.sh
#
# AIRFLOW_HOME        the home (default: .airflow); everything Airflow writes is there, its database too
# AIRFLOW_PORT        port of the web page on 127.0.0.1 (default: that of HOME/env, else 8080)
# PROJECT_ID          Google Cloud project of the connection (default: that of the credentials)
# DATAPROC_ENDPOINT   host:port of another Dataproc server than Google's; no credentials are sent to it
#
# It writes HOME/env, the database, the connection google_cloud_default and the Variables of variables.example.json.
# A second run leaves the port, the login, the connection and the Variables that are there; HOME/env, which is this
# script's own, follows the checkout. Afterwards: airflow/start_services.sh
set -euo pipefail
case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
# shellcheck source=airflow/home.sh
. "$here/home.sh"
port=${AIRFLOW_PORT:-8080}
if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || [ "$port" -gt 65535 ]; then
  echo "setup_local: want AIRFLOW_PORT to be a port number from 1 to 65535, found $port" >&2
  exit 2
fi

local/setup.sh
export NO_GCE_CHECK=true DO_NOT_TRACK=1
mkdir -p "$home"
.venv/bin/python local/airflow_home.py "$home" ${AIRFLOW_PORT:+"$port"}
# shellcheck source=/dev/null
. "$home/env"

quietly() { # what it is, command: its output is shown only if it fails
  local doing=$1
  shift
  echo "setup_local: $doing"
  if ! "$@" >"$home/setup.log" 2>&1; then
    tail -n 15 "$home/setup.log" >&2
    echo "setup_local: that failed: $doing; all of it is in $home/setup.log" >&2
    exit 1
  fi
}

extra=$(.venv/bin/python -c '
import json, os
endpoint, project = os.environ.get("DATAPROC_ENDPOINT"), os.environ.get("PROJECT_ID")
extra = {"project": project} if project else {}
print(json.dumps({**extra, "is_anonymous": True, "dataproc_endpoint": endpoint} if endpoint else extra))
')
quietly 'the database' airflow db migrate
if ! airflow connections get google_cloud_default >/dev/null 2>&1; then
  quietly 'the connection google_cloud_default' \
    airflow connections add google_cloud_default --conn-type google_cloud_platform --conn-extra "$extra"
fi
quietly 'the Variables' airflow variables import airflow/variables.example.json --action-on-existing-key skip
echo "setup_local: done; airflow/start_services.sh starts it, and \`. $home/env\` leads the command airflow to it"
