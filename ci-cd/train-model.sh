#!/usr/bin/env bash
# Trains on the cluster and waits for it: packages and stages the code, submits the job, shows its driver's output.
#
#   ci-cd/train-model.sh [--input URI] [--output URI] [--env FILE] [--dry-run] [-- ARGUMENTS]
#
#   --input URI     raw tweets (default: gs://DATA_BUCKET/data_raw/sentiment140)
#   --output URI    models, plots and figures (default: gs://MODELS_BUCKET/training/<job>)
#   --env FILE      settings as NAME=VALUE lines (default: ci-cd/env); the environment has precedence
#   --dry-run       show the commands, change nothing
#   -- ARGUMENTS    more arguments for code/sentiment_multimodel.py, but none that is set already
#
# Settings: PROJECT_ID, REGION, CLUSTER, CODE_BUCKET, DATA_BUCKET, MODELS_BUCKET, MLFLOW_TRACKING_URI, SENTIMENT_LEDGER,
# MODEL_NAME, TRAINING_PROPERTIES (ci-cd/env.example tells what they are).
# Exit 1: the job failed, and its driver's last lines are shown; or something that was wanted is not there, and nothing
# was submitted.
set -euo pipefail
unset CDPATH
NAME=train-model
caller=$PWD
case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac
. ci-cd/lib.sh
. ci-cd/jobs.sh

SCRIPT=sentiment_multimodel.py
input='' output='' env_file=''
while [ $# -gt 0 ]; do
  case $1 in
    --help) print_help ci-cd/train-model.sh; exit ;;
    --dry-run) DRY_RUN=1; shift; continue ;;
    --input) need_value "$@"; input=$2 ;;
    --output) need_value "$@"; output=$2 ;;
    --env) need_value "$@"; env_file=$2 ;;
    --) shift; break ;;
    *) usage_error "want the arguments that --help lists, found $1" ;;
  esac
  shift 2
done
load_settings "$env_file"
need_settings MLFLOW_TRACKING_URI
case $MODEL_NAME in
  ?*-best) ;;
  *) usage_error "want MODEL_NAME to end in -best, as the best model of a training does, found $MODEL_NAME" ;;
esac

need_gcloud
need_buckets CODE_BUCKET MODELS_BUCKET
input=${input:-gs://$DATA_BUCKET/data_raw/sentiment140}
case $input in
  gs://*) [ -n "$DRY_RUN" ] || cloud storage ls "$input" || fail "want tweets at $input, found none: $cloud_error" ;;
esac
need_cluster

find_revision
job=training-$revision-$(date -u +%Y%m%d-%H%M%S)-$$
output=${output:-gs://$MODELS_BUCKET/training/$job}
while [ "$output" != "${output%/}" ]; do output=${output%/}; done # as the job takes it
arguments=(--input "$input" --output "$output" --mlflow-uri "$MLFLOW_TRACKING_URI"
  --registered-model-name "${MODEL_NAME%-best}")
[ -z "${SENTIMENT_LEDGER:-}" ] || arguments+=(--ledger "$SENTIMENT_LEDGER")
arguments+=("$@")

package
check_arguments "$SCRIPT" "${arguments[@]}"
stage "$SCRIPT"
submit "$job" job=training "${TRAINING_PROPERTIES:-}" -- "${arguments[@]}" ||
  fail "the job could not be submitted: $cloud_error"
wait_command=(dataproc jobs wait "$job" --region="$REGION" --format=none)
if [ -n "$DRY_RUN" ]; then
  change "${wait_command[@]}"
  exit
fi
tell_job "$job"
trap 'say "job $job goes on; to end it: gcloud dataproc jobs kill $job --region=$REGION"; exit 130' INT
# gcloud's own exit code does not tell a job that failed from a line that broke: the job's state does.
gcloud --project="$PROJECT_ID" --quiet "${wait_command[@]}" 2>&1 | without_chatter || true
job_field "$job" 'value(status.state)' || fail "job $job was submitted, and its state cannot be had: $cloud_error"
case $answer in
  DONE) ;;
  ERROR | CANCELLED)
    state=$answer
    show_driver_tail "$job"
    if [ -z "$reason" ] && job_field "$job" 'value(status.details)'; then reason=${answer%%$'\n'*}; fi
    fail "job $job is $state${reason:+: $reason}"
    ;;
  *) fail "job $job goes on ($answer), and its output broke off: gcloud dataproc jobs wait $job --region=$REGION" ;;
esac

# What it came to, as the training wrote it down.
cloud storage cat "$output/run.json" || fail "job $job is DONE, and left no $output/run.json: $cloud_error"
result=$(printf '%s' "$answer" | "$PYTHON" -c '
import json, sys
run = json.load(sys.stdin)
best = run["best"]
aliases = ", ".join(best["aliases"])
print("experiments/%s/runs/%s" % (run["experiment_id"], run["run_id"]))
print("version %s, %s%s" % (best["version"], best["classifier"], f" ({aliases})" if aliases else ""))
')
say "job $job is DONE: $MODEL_NAME ${result#*$'\n'}"
say "MLflow: $(mlflow_link "${result%%$'\n'*}")"
