#!/usr/bin/env bash
# Sends marked messages through a stream that was deployed, and waits for their predictions by the live version.
#
#   ci-cd/smoke-test.sh [--stream NAME] [--version N] [--timeout SECONDS]
#       [--kafka-output-bootstrap HOST:PORT] [--env FILE] [--dry-run]
#
#   --stream NAME       the stream (default: MODEL_NAME), with its checkpoint at gs://CHECKPOINT_BUCKET/checkpoint/NAME,
#                       where it says whether it reads Kafka or files and where it writes
#   --version N         the version that is to score (default: that of the alias champion, as the registry has it)
#   --timeout SECONDS   until all is there; a stream that still has the version before is asked again (default: 180)
#   --kafka-output-bootstrap HOST:PORT
#                       the broker that a stream with that flag writes to (default: KAFKA_BOOTSTRAP)
#   --env FILE          settings as NAME=VALUE lines (default: ci-cd/env); the environment has precedence
#   --dry-run           show the command, send nothing
#
# Settings: PROJECT_ID, CHECKPOINT_BUCKET, MLFLOW_TRACKING_URI, MODEL_NAME, KAFKA_BOOTSTRAP (ci-cd/env.example tells what
# they are). The messages are predictions like others: their texts hold smoke- and a number, and they have no label.
# It runs on this machine, which must reach broker, buckets and MLflow (gcloud auth application-default login).
set -euo pipefail
unset CDPATH
NAME=smoke-test
caller=$PWD
case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac
. ci-cd/lib.sh
. ci-cd/jobs.sh

stream='' env_file='' options=()
while [ $# -gt 0 ]; do
  case $1 in
    --help) print_help ci-cd/smoke-test.sh; exit ;;
    --dry-run) DRY_RUN=1; shift; continue ;;
    --stream) need_value "$@"; stream=$2 ;;
    --version | --timeout | --kafka-output-bootstrap) need_value "$@"; options+=("$1" "$2") ;;
    --env) need_value "$@"; env_file=$2 ;;
    *) usage_error "want the arguments that --help lists, found $1" ;;
  esac
  shift 2
done
load_settings "$env_file"
need_settings MLFLOW_TRACKING_URI
options+=(--checkpoint "gs://$CHECKPOINT_BUCKET/checkpoint/${stream:-$MODEL_NAME}"
  --mlflow-uri "$MLFLOW_TRACKING_URI" --model-name "$MODEL_NAME")
[ -z "${KAFKA_BOOTSTRAP:-}" ] || options+=(--kafka-bootstrap "$KAFKA_BOOTSTRAP")
if [ -n "$DRY_RUN" ]; then
  show "$PYTHON" ci-cd/smoke_test.py "${options[@]}"
  exit
fi
[ -x "$PYTHON" ] || fail 'want the environment of this checkout (make setup), found none'
export GOOGLE_CLOUD_PROJECT=${GOOGLE_CLOUD_PROJECT:-$PROJECT_ID}
exec "$PYTHON" ci-cd/smoke_test.py "${options[@]}"
