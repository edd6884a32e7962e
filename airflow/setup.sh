#!/usr/bin/env bash
# Airflow in containers: writes airflow/.env with secrets of its own, once, and starts docker-compose.yml.
#
#   airflow/setup.sh [--no-start]
#
#   --no-start   write airflow/.env only
#
# AIRFLOW_PORT   port of the web page on 127.0.0.1 (default: 8080)
# The connection google_cloud_default is AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT in airflow/.env. To end it:
# docker compose -f airflow/docker-compose.yml down (--volumes removes its data too)
set -euo pipefail
unset CDPATH
start=1
case ${1:-} in
  '') ;;
  --no-start) start='' ;;
  --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$0"; exit ;;
  *) echo "setup: want --no-start or nothing, found $1" >&2; exit 2 ;;
esac
case $0 in */*) cd "${0%/*}" ;; esac
port=${AIRFLOW_PORT:-8080}
if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || [ "$port" -gt 65535 ]; then
  echo "setup: want AIRFLOW_PORT to be a port number from 1 to 65535, found $port" >&2
  exit 2
fi

secret() { # bytes; base64 as Fernet wants it, URL-safe
  head -c "$1" /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'
}

if [ ! -f .env ]; then
  umask 077
  cat >.env.partial <<END
# Written by airflow/setup.sh: secrets of this machine, not for git.
AIRFLOW_UID=$(id -u)
AIRFLOW_PORT=$port
POSTGRES_PASSWORD=$(secret 24 | tr -d '=_-')
FERNET_KEY=$(secret 32)
API_SECRET_KEY=$(secret 32)
JWT_SECRET=$(secret 48)
ADMIN_PASSWORD=$(secret 12 | tr -d '=_-')
AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT=google-cloud-platform://
END
  mv .env.partial .env
  echo 'setup: airflow/.env is written, with new secrets; the password of user admin is ADMIN_PASSWORD in it'
else
  echo 'setup: airflow/.env is there already, and stays as it is'
fi
[ -n "$start" ] || exit 0

if ! docker compose version >/dev/null 2>&1; then
  echo 'setup: want docker with its compose plugin, found none; airflow/setup_local.sh needs neither' >&2
  exit 1
fi
docker compose -f docker-compose.yml up --detach --wait
