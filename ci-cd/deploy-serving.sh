#!/usr/bin/env bash
# Deploys a stream of predictions to the cluster as a restartable job, and waits for its first batch.
#
#   ci-cd/deploy-serving.sh [--stream NAME] [--source kafka|file] [--drain] [--timeout SECONDS] [--env FILE] [--dry-run]
#                           [-- ARGUMENTS]
#
#   --stream NAME      the stream (default: MODEL_NAME). Its checkpoint is gs://CHECKPOINT_BUCKET/checkpoint/NAME, its
#                      predictions lie under gs://PREDICTIONS_BUCKET/predictions/NAME
#   --source WHERE     kafka: KAFKA_INPUT_TOPIC to KAFKA_OUTPUT_TOPIC; file: files that come to
#                      gs://STREAMING_INPUT_BUCKET/NAME (default: kafka)
#   --drain            a stream that runs with other settings or other code completes its batch and is replaced
#   --timeout SECONDS  for the first batch, and before it for a drain (default: 600)
#   --env FILE         settings as NAME=VALUE lines (default: ci-cd/env); the environment has precedence
#   --dry-run          show the commands, change nothing
#   -- ARGUMENTS       more arguments for code/streaming_serving_mlflow_hdfs_kafka.py, but none that is set already
#
# Settings: PROJECT_ID, REGION, CLUSTER, CODE_BUCKET, CHECKPOINT_BUCKET, PREDICTIONS_BUCKET, STREAMING_INPUT_BUCKET,
# MLFLOW_TRACKING_URI, MODEL_NAME, KAFKA_BOOTSTRAP, KAFKA_INPUT_TOPIC, KAFKA_OUTPUT_TOPIC, SERVING_PROPERTIES
# (ci-cd/env.example tells what they are).
# A stream never runs twice. One that runs already with these settings and this code stays: exit 0 if it is healthy. With
# others it stays too, without --drain: exit 1. One that was told to end is waited for, and submitted again. Healthy is a
# stream whose next batch is complete, or that has read all its input and keeps its checkpoint's lease. One that is not
# in time is ended, unless another deploy has submitted it, and its driver's last lines are shown: exit 1.
set -euo pipefail
unset CDPATH
NAME=deploy-serving
caller=$PWD
case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac
. ci-cd/lib.sh
. ci-cd/jobs.sh
. ci-cd/stream.sh

SCRIPT=streaming_serving_mlflow_hdfs_kafka.py
stream='' source_type=kafka drain='' timeout=600 env_file=''
while [ $# -gt 0 ]; do
  case $1 in
    --help) print_help ci-cd/deploy-serving.sh; exit ;;
    --dry-run) DRY_RUN=1; shift; continue ;;
    --drain) drain=1; shift; continue ;;
    --stream) need_value "$@"; stream=$2 ;;
    --source) need_value "$@"; source_type=$2 ;;
    --timeout) need_value "$@"; timeout=$2 ;;
    --env) need_value "$@"; env_file=$2 ;;
    --) shift; break ;;
    *) usage_error "want the arguments that --help lists, found $1" ;;
  esac
  shift 2
done
need_number --timeout "$timeout" 'a whole number of seconds above 0'
load_settings "$env_file"
stream=${stream:-$MODEL_NAME}
case $stream in
  [!a-z0-9]* | *[!a-z0-9_-]*) stream_fits='' ;;
  *) stream_fits=1 ;;
esac
if [ -z "$stream_fits" ] || [ ${#stream} -gt 60 ]; then
  usage_error "want --stream to be 1 to 60 of a-z, 0-9, _ and -, a letter or digit first, found $stream"
fi
need_settings MLFLOW_TRACKING_URI
checkpoint=gs://$CHECKPOINT_BUCKET/checkpoint/$stream
predictions=gs://$PREDICTIONS_BUCKET/predictions/$stream
arguments=(--checkpoint "$checkpoint" --output-path "$predictions"
  --mlflow-uri "$MLFLOW_TRACKING_URI" --model-name "$MODEL_NAME" --source-type "$source_type")
case $source_type in
  kafka)
    need_settings KAFKA_BOOTSTRAP
    arguments+=(--kafka-bootstrap "$KAFKA_BOOTSTRAP" --kafka-topic "$KAFKA_INPUT_TOPIC"
      --write-kafka --kafka-output-topic "$KAFKA_OUTPUT_TOPIC")
    ;;
  file)
    input=gs://$STREAMING_INPUT_BUCKET/$stream
    arguments+=(--input-path "$input")
    ;;
  *) usage_error "want --source kafka or file, found $source_type" ;;
esac
arguments+=("$@")
settings=$({
  printf '%s\n' "${arguments[@]}"
  list_properties "${SERVING_PROPERTIES:-}"
} | digest)

need_gcloud
buckets=(CODE_BUCKET CHECKPOINT_BUCKET PREDICTIONS_BUCKET)
[ "$source_type" = kafka ] || buckets+=(STREAMING_INPUT_BUCKET)
need_buckets "${buckets[@]}"
need_cluster
find_revision

# Sets running to the stream's job, empty where none runs; one that is as it is wanted, or may not be replaced, is the end.
find_running
if [ -n "$running" ] && is_ending; then
  say "job $running ($running_state) was told to end: its end is waited for"
elif [ -n "$running" ]; then
  if [ "$running_settings,$running_revision,$running_cluster" = "$settings,$revision,$CLUSTER" ]; then
    say "stream $stream is already running as job $running ($running_state), with these settings and this code"
    job=$running
    remember_commits
    wait_until_healthy
    exit
  fi
  if [ "$running_settings" != "$settings" ]; then
    differs='other settings'
  elif [ "$running_cluster" != "$CLUSTER" ]; then
    differs="another cluster ($running_cluster, now $CLUSTER)"
  else
    differs="other code (revision ${running_revision:-unknown}, now $revision)"
  fi
  [ -n "$drain" ] || fail "stream $stream runs as job $running with $differs: want --drain to replace it, found none"
fi

package
if [ -z "$DRY_RUN" ]; then
  # No driver takes up a checkpoint with another source or output: that is told before the running one is drained.
  if cloud storage cat "$checkpoint/settings.json"; then begun_with=$answer; else
    case $cloud_error in
      *'matched no objects'*) ;;
      *) fail "$checkpoint cannot be looked at: $cloud_error" ;;
    esac
  fi
fi
check_arguments "$SCRIPT" "${arguments[@]}"
stage "$SCRIPT"
if [ "$source_type" = file ] && [ -z "$DRY_RUN" ]; then
  # The stream wants its folder to be there. Names with a leading dot are no input.
  cloud storage ls "$input/" || put "$input/.keep"
fi
if [ -n "$running" ]; then
  case $running_state in
    CANCEL_*) await_end ;;
    *) drain_running ;;
  esac
elif [ -n "$DRY_RUN" ] && [ -n "$drain" ]; then
  change storage cp - "$checkpoint/control/drain"
fi
submit_stream
if [ -z "$DRY_RUN" ]; then
  [ -z "$submitted" ] || tell_job "$job"
  wait_until_healthy
fi
