# shellcheck shell=bash
# What the scripts of ci-cd/ share: sourced by them, never run. NAME, set before, starts each of their messages.
#
# Settings come from the environment, else from a file of NAME=VALUE lines (--env, ci-cd/env if it is there),
# else from the defaults in load_settings. A shell that has sourced .local/env (SENTIMENT_LOCAL_ENV) never takes
# ci-cd/env: a setting that is left out there, as of a broker that does not run, must not lead to a cloud. Runs under
# bash 3.2, which is macOS's own.

DRY_RUN='' # of the environment none is taken: the flag --dry-run sets it
: "${NAME:?want NAME set by the script that sources lib.sh}"

say() { echo "$NAME: $*"; }

fail() { # a line; exit 1: what was asked for cannot be done
  echo "$NAME: $*" >&2
  exit 1
}

usage_error() { # a line; exit 2: a wrong argument or setting
  echo "$NAME: $*" >&2
  exit 2
}

# The comment at the head of the script is its help: all of it from line 2 to the first line without #.
print_help() { sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p;}' "$1"; }

need_value() { # the arguments from a flag on
  if [ $# -lt 2 ] || [ -z "$2" ]; then usage_error "want a value after $1, found none"; fi
}

# The scripts work in the checkout: a file that a user names is taken from where the user is.
from_caller() { # file
  case $1 in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "${caller:-$PWD}/$1" ;;
  esac
}

# Bash takes 010 for 8, stumbles over 09, and counts to 19 digits only: such a number ends the script.
need_number() { # flag, value, what is wanted, 0 where that is one too
  local wanted=$3
  case $2 in
    *[!0-9]*) ;;
    0) [ "${4:-}" != 0 ] || return 0 ;;
    [1-9]?????????* | 0*) wanted="$3, without a leading 0 and of at most 9 digits" ;;
    *) return 0 ;;
  esac
  usage_error "want $1 to be $wanted, found $2"
}

# What stands in the file alone, for a script that may do without a project.
read_settings() { # a file of settings, or nothing
  local file=${1:-} path='' line name number=0
  if [ -n "$file" ]; then
    path=$(from_caller "$file")
  elif [ -z "${SENTIMENT_LOCAL_ENV:-}" ] && [ -f ci-cd/env ]; then
    file=ci-cd/env path=ci-cd/env
  fi
  if [ -n "$file" ]; then
    [ -f "$path" ] || usage_error "want --env to name a file of settings, found nothing at $file"
    while IFS= read -r line || [ -n "$line" ]; do
      number=$((number + 1))
      line=${line%$'\r'} # of an editor that ends lines as Windows does
      case $line in '' | '#'*) continue ;; esac
      name=${line%%=*}
      case $name in
        "$line" | '' | [0-9]* | *[!A-Z0-9_]*) usage_error "want NAME=VALUE in line $number of $file, found another form" ;;
      esac
      case ${line#*=} in
        [\'\"]*) usage_error "want NAME=VALUE without quotes in line $number of $file, found quotes around $name" ;;
      esac
      if [ -z "${!name+set}" ]; then export "$name=${line#*=}"; fi # what the environment holds empty stays so
    done <"$path"
  fi
}

load_settings() { # a file of settings, or nothing
  read_settings "${1:-}"
  : "${PROJECT_ID:=${CLOUDSDK_CORE_PROJECT:-${GOOGLE_CLOUD_PROJECT:-}}}"
  : "${REGION:=us-central1}" "${CLUSTER:=sentiment-cluster}" "${MODEL_NAME:=twitter-sentiment-model-best}"
  : "${CODE_BUCKET:=sentiment-bucket-code}" "${DATA_BUCKET:=sentiment-bucket-data}"
  : "${MODELS_BUCKET:=sentiment-bucket-models}" "${CHECKPOINT_BUCKET:=sentiment-bucket-checkpoint}"
  : "${PREDICTIONS_BUCKET:=sentiment-bucket-predictions}" "${STAGING_BUCKET:=sentiment-bucket-staging}"
  : "${STREAMING_INPUT_BUCKET:=sentiment-bucket-streaming-input}"
  : "${KAFKA_INPUT_TOPIC:=sentiment-input}" "${KAFKA_OUTPUT_TOPIC:=sentiment-predictions}"
  case $CLUSTER in
    [!a-z]* | *[!a-z0-9-]* | *-) usage_error "want CLUSTER to be a-z, 0-9 and -, a letter first and no - last, found $CLUSTER" ;;
  esac
  [ -n "$PROJECT_ID" ] || usage_error 'want PROJECT_ID to name the project, found nothing (environment, --env FILE or ci-cd/env)'
}

need_settings() { # names
  local name
  for name in "$@"; do
    [ -n "${!name:-}" ] || usage_error "want $name, found nothing (environment, --env FILE or ci-cd/env; ci-cd/env.example tells what it is)"
  done
}

need_gcloud() {
  [ -n "$DRY_RUN" ] || command -v gcloud >/dev/null || fail 'want gcloud on PATH, found none'
}

# Run gcloud in the project and without questions. Sets answer to its output and, where it fails, cloud_error to its
# error in one line. Not in $(...), where both would be lost.
cloud() {
  local complaints status=0
  complaints=$(mktemp)
  # shellcheck disable=SC2034  # answer is for the callers
  answer=$(gcloud --project="$PROJECT_ID" --quiet "$@" 2>"$complaints") || status=$?
  cloud_error=$(sed -n -e 's/ This command is [a-z]*authenticated.*//' \
    -e '/^ERROR:.*:$/{N;s/\n[- ]*/ /;}' -e 's/^ERROR: *\(([^)]*) *\)\{0,1\}//p' "$complaints" | head -n 1)
  [ -n "$cloud_error" ] || cloud_error=$(grep -v '^ *$' "$complaints" | tail -n 1) || true
  rm -f "$complaints"
  return "$status"
}

# An address without its user's name and password, whatever that holds, and without secrets of its query: as
# without_secrets in code/sentiment/jobs.py has it. macOS's sed has no flag for either case.
hide_password() {
  printf '%s\n' "$1" | sed -E -e 's~://[^/:@]*:.*@~://***@~' -e 's~://[^/?#]*@~://***@~' -e "s~([?&;][[:alnum:]_-]*(\
[Pp][Aa][Ss][Ss][Ww]|[Pp][Ww][Dd]|[Tt][Oo][Kk][Ee][Nn]|[Ss][Ee][Cc][Rr][Ee][Tt]|\
[Oo][Dd][Bb][Cc]_[Cc][Oo][Nn][Nn][Ee][Cc][Tt])[[:alnum:]_-]*=)[^&]+~\\1***~g"
}

# Show a command as a shell would take it, without the passwords of addresses.
show() {
  local word before=''
  for word in "$@"; do
    case $word in *://*[@?';']*) word=$(hide_password "$word") ;; esac
    printf '%s%q' "$before" "$word"
    before=' '
  done
  echo
}

# Run gcloud for a change: told in one line where it fails, shown instead of run under --dry-run.
change() {
  if [ -n "$DRY_RUN" ]; then
    show gcloud --project="$PROJECT_ID" --quiet "$@"
    return
  fi
  cloud "$@" || fail "gcloud ${1:-} ${2:-} ${3:-}: $cloud_error"
}

need_bucket() { # setting, bucket: one that is not there or that must not be read ends the script
  [ -z "$DRY_RUN" ] || return 0
  cloud storage ls "gs://$2/" || # asks for no right that the work does not need
    fail "want $1 to name a bucket that can be read, found gs://$2: $cloud_error"
}

need_buckets() { # settings that each name a bucket
  local name urls=()
  [ -z "$DRY_RUN" ] || return 0
  for name in "$@"; do urls+=("gs://${!name}/"); done
  if cloud storage ls "${urls[@]}"; then return; fi
  for name in "$@"; do need_bucket "$name" "${!name}"; done
}

# Set cluster_state: RUNNING and so on, empty where there is no such cluster. A wrong region, a wrong project
# or missing rights end the script.
find_cluster() {
  cluster_state=''
  if cloud dataproc clusters describe "$CLUSTER" --region="$REGION" --format='value(status.state)'; then
    cluster_state=$answer
  fi
  if [ -z "$cluster_state" ]; then
    case $cloud_error in
      *NOT_FOUND*luster*) ;;
      *) fail "want to find CLUSTER $CLUSTER in REGION $REGION of $PROJECT_ID, found: $cloud_error" ;;
    esac
  fi
}

need_cluster() { # a cluster that jobs can be sent to, as also one can that is growing
  [ -z "$DRY_RUN" ] || return 0
  find_cluster
  local help
  case $cluster_state in
    RUNNING | UPDATING) return ;;
    '') help='ci-cd/create-cluster.sh makes one' ;;
    CREATING | STARTING | REPAIRING) help='ci-cd/create-cluster.sh waits until it takes jobs' ;;
    STOPPED) help="gcloud --project=$PROJECT_ID dataproc clusters start $CLUSTER --region=$REGION starts it" ;;
    STOPPING | DELETING) help='try again when it has ended' ;;
    *) help='ci-cd/delete-cluster.sh removes it, then ci-cd/create-cluster.sh makes one' ;;
  esac
  fail "want CLUSTER to name a running cluster in $REGION, found $CLUSTER ${cluster_state:-nowhere}; $help"
}

# Set revision: under which the code is staged, by the DAGs as well.
find_revision() {
  local python=.venv/bin/python
  [ -x "$python" ] || python=python3
  revision=$("$python" ci-cd/package.py --revision 2>/dev/null) ||
    fail 'want .venv (make setup) or a python3 that runs ci-cd/package.py, found neither'
  case $revision in
    *-dirty-*) say "there are changes that no commit has: the code goes to $revision" ;;
  esac
}
