# shellcheck shell=bash
# What the scripts that submit jobs share: packaging, staging, submitting, a job's state and its driver's output.
# Sourced after lib.sh.

PYTHON=.venv/bin/python
TAIL_LINES=25
begun_with='' # settings.json of the stream's checkpoint, set by a script that has found one

# What `make package` does, where the environment is there already.
package() {
  local said
  if [ -n "$DRY_RUN" ]; then
    echo 'make package'
  elif [ -x "$PYTHON" ]; then
    said=$("$PYTHON" ci-cd/package.py 2>&1) || fail "make package: ${said##*$'\n'}"
  else
    make package || fail 'make package failed'
  fi
}

# Ends with the script's own line unless it takes the arguments, also on a checkpoint that was begun_with such settings.
check_arguments() { # script, arguments
  local said words=("$@")
  if [ -n "$DRY_RUN" ]; then return; fi
  [ -z "$begun_with" ] || words=(--begun-with "$begun_with" "$@")
  said=$("$PYTHON" ci-cd/check_arguments.py "${words[@]}" 2>&1) || usage_error "$1: ${said##*$'\n'}"
}

# Copies what jobs and clusters of this revision need to gs://CODE_BUCKET/code/<revision>/, for DAGs without a checkout
# too; sets staged, the script's address there.
stage() { # script
  local file place=gs://$CODE_BUCKET/code/${revision:?}
  local files=("dist/$1" dist/sentiment.zip ci-cd/init-actions/init-conda-spark-nlp-mlflow.sh requirements-cluster.txt)
  for file in code/*.py ci-cd/promote-model.py; do
    file=${file##*/}
    [ "$file" = "$1" ] || files+=("dist/$file")
  done
  staged=$place/$1
  change storage cp "${files[@]}" "$place/"
}

# Submits the staged script as a job that goes on by itself; fails as cloud does.
submit() { # id, labels, properties (may be empty), flags of gcloud..., --, arguments of the script
  local id=$1 labels=suite=sentiment,revision=$revision,$2
  local how=(dataproc jobs submit pyspark "$staged" --id="$id" --cluster="$CLUSTER" --region="$REGION"
    --labels="$labels" --async --format=none)
  [ -z "$3" ] || how+=(--properties="$3")
  shift 3
  if [ -n "$DRY_RUN" ]; then
    change "${how[@]}" "$@"
  else
    cloud "${how[@]}" "$@"
  fi
}

# Twelve hex digits that stand for the lines of stdin.
digest() {
  { sha256sum 2>/dev/null || shasum -a 256; } | cut -c 1-12
}

# Spark properties, one a line and in order: gcloud takes them between commas, or between what two ^ in front enclose.
list_properties() { # as gcloud takes them, or nothing
  local all=$1 between=, newline=$'\n'
  case $all in
    ^*^*)
      between=${all#^} between=${between%%^*}
      all=${all#"^$between^"}
      ;;
  esac
  all=${all//"$between"/$newline}
  [ -z "$all" ] || printf '%s\n' "$all" | LC_ALL=C sort
}

job_field() { # job, format; sets answer
  cloud dataproc jobs describe "$1" --region="$REGION" --format="$2"
}

# Sets answer to all that the driver has said so far.
driver_output() { # job, where its output lies if that is known
  answer=${2:-}
  [ -n "$answer" ] || job_field "$1" 'value(driverOutputResourceUri)' || return
  [ -n "$answer" ] || return
  cloud storage cat "$answer.*"
}

# The driver's words without Spark's own chatter: what it tells of its doings, and query plans with all their lines.
without_chatter() {
  grep --line-buffered -v -e '^ *$' -e '^[0-9/]* [0-9:]* INFO ' -e ' WARN StringUtils: Truncated ' \
    -e '^ *[+:][ -]' -e '^ \[rdd_' -e '^[[:space:]]*,' || true
}

# The end of the driver's output, on stderr; sets reason to the job script's own line of error, empty where it has none.
show_driver_tail() { # job
  reason=''
  if driver_output "$1" && [ -n "$answer" ]; then
    # shellcheck disable=SC2034  # for the callers
    reason=$(printf '%s\n' "$answer" | sed -n 's/^[a-z_]*\.py: error: //p' | tail -n 1)
    echo "$NAME: the last lines of the driver of job $1:" >&2
    printf '%s\n' "$answer" | without_chatter | tail -n "$TAIL_LINES" | cut -c 1-400 | sed 's/^/  /' >&2
  else
    echo "$NAME: job $1 has no output of a driver" >&2
  fi
}

# Where job JOB and its output can be looked at.
tell_job() { # job
  say "job $1 (gcloud dataproc jobs wait $1 --region=$REGION shows its output)"
}

# The address of an MLflow page, without a password; where MLflow has no pages, the words of its place.
mlflow_link() { # fragment, as in experiments/1/runs/abc
  local place
  place=$(hide_password "$MLFLOW_TRACKING_URI")
  place=${place/'***@'/}
  case $place in
    http*) printf '%s\n' "${place%/}/#/$1" ;;
    *) printf '%s\n' "$1 in $place" ;;
  esac
}
