#!/usr/bin/env bash
# Serves predictions on this machine until Ctrl-C: `make serve`, `make serve DATA=path`.
#
# DATA           a file or folder of tweets to send; without it data_raw/sentiment140/, else data_raw/sample/
# KAFKA_PORT     another port than 9092 for the broker
# METRICS_PORT   another port than 9108 for the stream's /health and /metrics
set -euo pipefail
unset CDPATH
caller=$PWD
case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac

case ${DATA:-} in
  '' | /*) ;;
  *) export DATA=$caller/$DATA ;;
esac

local/setup.sh

# No client asks the network for anything of its own accord: no usage figures, no search for a cloud's metadata.
export MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=1 NO_GCE_CHECK=true
export PYSPARK_PYTHON=$PWD/.venv/bin/python
exec .venv/bin/python local/serve.py
