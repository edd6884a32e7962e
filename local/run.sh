#!/usr/bin/env bash
# The main job from raw tweets to a registered best model: `make run`, `make run DATA=path`.
#
# DATA         a Sentiment140 file or folder; without it data_raw/sentiment140/, else a sample made on the spot
# TRAIN_ARGS   more arguments for code/train_and_log.py
# GATE_ARGS    more arguments for ci-cd/promote-model.py
set -euo pipefail
unset CDPATH
caller=$PWD
case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac

data=${DATA:-}
case $data in
  '' | /* | *://*) ;;
  *) data=$caller/$data ;;
esac
case $data in
  '' | *://*) ;;
  *)
    if [ ! -e "$data" ]; then
      echo "run: want DATA to name a CSV file or a folder of them, found nothing at $DATA" >&2
      exit 2
    fi
    ;;
esac

local/setup.sh

# No client asks the network for anything of its own accord: no usage figures, no search for a cloud's metadata.
export MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=1 NO_GCE_CHECK=true
export PYSPARK_PYTHON=$PWD/.venv/bin/python
# The gate asks which registry is meant where ci-cd/env names one: it is that of the training.
export MLFLOW_TRACKING_URI=${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}

step() { # what it is, script, arguments
  echo "== $1"
  shift
  .venv/bin/python "$@" || exit
}

if [ -n "$data" ]; then
  echo "run: training on $data"
else
  data=$(.venv/bin/python code/sentiment/raw_files.py data_raw/sentiment140)
  [ -z "$data" ] || echo "run: training on the files under $data/"
fi
if [ -z "$data" ]; then
  echo "run: there is no DATA and no CSV file under data_raw/sentiment140/, so this run generates its own sample."
  step 'Sample of 20000 tweets' code/sample_tweets.py --rows 20000 --output data_raw/sample/
  data=data_raw/sample
fi

step 'Step 1 of 4: clean the tweets' code/preprocess.py --input "$data" --output data_clean/
step 'Step 2 of 4: split them' code/create_splits.py --input data_clean/ --output data_clean/splits/
# TRAIN_ARGS and GATE_ARGS hold several words.
# shellcheck disable=SC2086
step 'Step 3 of 4: train, compare and register' code/train_and_log.py --data data_clean/splits/ ${TRAIN_ARGS:-}

# The gate looks where the training has registered its models.
gate=()
# shellcheck disable=SC2086
set -- ${TRAIN_ARGS:-}
while [ $# -gt 0 ]; do
  case $1 in
    --mlflow-uri=* | --ledger=*) gate+=("$1") ;;
    --registered-model-name=*) gate+=(--model-name "${1#*=}-best") ;;
    --mlflow-uri | --ledger) gate+=("$1" "${2:-}") ;;
    --registered-model-name) gate+=(--model-name "${2:-}-best") ;;
  esac
  shift
done
echo '== Step 4 of 4: is it good enough to go live?'
status=0
# shellcheck disable=SC2086
.venv/bin/python ci-cd/promote-model.py ${gate[@]+"${gate[@]}"} ${GATE_ARGS:-} || status=$?
if [ "$status" != 0 ] && [ "$status" != 3 ]; then # 3: the champion stays, and the reasons were told
  exit "$status"
fi
