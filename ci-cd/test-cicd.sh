#!/usr/bin/env bash
# Runs the scripts of ci-cd/ for real, from a download to a served model, another one, back, and a report:
# `make test-cicd`.
#
# Everything runs on local services of its own (.local/test-cicd/, free ports), beside those of `make up`. One line and
# its seconds for each step; the first that fails is the end, with its name and the end of its log.
set -euo pipefail
unset CDPATH
NAME=test-cicd
case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac
. ci-cd/lib.sh
. ci-cd/jobs.sh

case ${1:-} in
  --help) print_help ci-cd/test-cicd.sh; exit ;;
  '') ;;
  *) usage_error "want the arguments that --help lists, found $1" ;;
esac
need_gcloud
[ -x "$PYTHON" ] || fail 'want the environment of this checkout (make setup), found none'

folder=$PWD/.local/test-cicd logs=$PWD/.local/test-cicd-logs
export SENTIMENT_LOCAL=$folder MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=1 NO_GCE_CHECK=true
export SENTIMENT_DRIVER_MEMORY=${SENTIMENT_DRIVER_MEMORY:-2g}
MODEL=twitter-sentiment-model-best
predictions=gs://sentiment-bucket-predictions/predictions/$MODEL
stream=(--checkpoint "gs://sentiment-bucket-checkpoint/checkpoint/$MODEL" --output-path "$predictions")
# Small data: one classifier, and a gate that asks whether it works rather than how well.
train=(ci-cd/train-model.sh -- --models logisticregression --num-features 8192)
gate=("$PYTHON" ci-cd/promote-model.py --min-accuracy 0.5 --max-regression 0.2 --max-slice-regression 1
  --max-calibration-error 0.5 --max-latency-ratio 20)

start_services() {
  local name
  if [ -d "$folder" ]; then "$PYTHON" local/up.py reset; fi
  rm -rf "$folder" # a reset leaves what services did not make
  mkdir -p "$folder" .local/bin .local/jars
  ln -sfn "$PWD/.local/bin" "$folder/bin"
  ln -sfn "$PWD/.local/jars" "$folder/jars"
  for name in KAFKA_PORT KAFKA_CONTROLLER_PORT GCS_PORT GCS_TLS_PORT MLFLOW_PORT DATAPROC_GRPC_PORT DATAPROC_REST_PORT; do
    echo "export $name=$(PYTHONPATH=local "$PYTHON" -c 'import services; print(services.free_port())')"
  done >"$folder/ports"
  # shellcheck source=/dev/null
  . "$folder/ports"
  "$PYTHON" local/up.py up kafka gcs mlflow dataproc
}

# The data set is generated tweets; each call adds some.
publish() { # number of tweets, seed
  "$PYTHON" code/sample_tweets.py --rows "$1" --seed "$2" --output "$folder/samples"
  mkdir -p "$folder/tweets"
  mv "$folder/samples/sample_$1.csv" "$folder/tweets/tweets-$2.csv" # a training leaves out what is named as a sample
}

# From a server on this machine that speaks Kaggle's API, over a connection that is cut once.
download() { # more arguments
  PYTHONPATH=tests "$PYTHON" -m kaggle_server "$folder/tweets" --cut-after 20000 -- \
    "$PYTHON" code/download_and_upload.py --unzip --output-dir "$folder/download" "$@"
}

upload() { download --gcs-bucket "$DATA_BUCKET"; }

grow() {
  publish 3000 2
  upload
}

send_tweets() {
  "$PYTHON" code/produce_tweets.py --input "$folder/tweets" --limit 300 --rate 0
}

deploy() {
  ci-cd/deploy-serving.sh --timeout 600 -- --batch-interval-seconds 1 --reload-interval-seconds 5
}

deploy_again() {
  deploy | tee "$folder/again"
  grep 'is already running as job' "$folder/again"
}

audit() {
  "$PYTHON" code/audit_predictions.py "${stream[@]}"
}

# Of both versions, and of as many predictions as the audit has counted.
report() {
  local counted
  "$PYTHON" monitoring/report.py --predictions "$predictions" --output "$folder/report" | tee "$folder/verdict"
  counted=$(sed -n 's/^predictions *//p' "$logs/$(printf %02d $((steps - 1))).log" | tr -d ' ')
  grep -q " $counted predictions," "$folder/verdict"
}

# One line of the table. A function of several steps ends with the first that fails: in the background set -e counts.
step() { # name, command
  local name=$1 status=0 began=$SECONDS log
  shift
  steps=$((steps + 1))
  log=$logs/$(printf %02d "$steps").log
  printf '%2d  %-46s' "$steps" "$name"
  "$@" >"$log" 2>&1 </dev/null &
  wait $! || status=$?
  if [ "$status" -ne 0 ]; then
    echo '  failed'
    echo "$NAME: step '$name' failed with exit code $status after $((SECONDS - began)) s; the end of $log:" >&2
    without_chatter <"$log" | tail -n 30 >&2
    exit 1
  fi
  printf '%5d s\n' $((SECONDS - began))
}

finish() {
  "$PYTHON" local/up.py down >/dev/null 2>&1 || true
}

steps=0
mkdir -p "$logs"
trap finish EXIT
trap 'exit 130' INT TERM
step 'local services' start_services
# shellcheck source=/dev/null
. "$folder/env"
step 'a data set of 2,000 tweets' publish 2000 1
step 'download, cut once and gone on with' download
step 'upload to gs://' upload
step 'training on Dataproc' "${train[@]}"
step 'gate: the first version is live' "${gate[@]}"
step '300 tweets into Kafka' send_tweets
step 'deploy: the first batch is complete' deploy
step 'smoke test: version 1 scores' ci-cd/smoke-test.sh --version 1
step 'deploy again: runs already' deploy_again
step 'the data set grows: download, upload' grow
step 'second training' "${train[@]}"
step 'gate: version 2 is promoted' "${gate[@]}"
step 'the stream swaps to version 2' ci-cd/smoke-test.sh --version 2
step 'rollback' "$PYTHON" ci-cd/rollback-model.py --reason 'test-cicd'
step 'the stream swaps back to version 1' ci-cd/smoke-test.sh --version 1
step 'audit: every message once' audit
step 'report: as many as the audit has counted' report
echo "$NAME: all $steps steps in $SECONDS s"
