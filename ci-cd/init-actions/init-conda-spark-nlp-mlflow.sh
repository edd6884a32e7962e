#!/usr/bin/env bash
# Dataproc initialization action: an interpreter of the jobs' own with their pinned packages, on every machine, as the
# Python of Spark's driver and executors. The image's Spark and its pyspark stay what they are.
#
# Metadata of the cluster (where there is no metadata: environment variables of the same names):
#   REQUIREMENTS_GCS_URI   the pinned packages, all of them: requirements-cluster.txt, put there by create-cluster.sh
#   MINICONDA_GCS_URI      a Miniconda installer on gs://, for machines without internet (default: from its site)
#   MINICONDA_SHA256       what that installer must hash to (default: unchecked; the one from the site is checked)
#   WHEELS_GCS_URI         a folder of wheels on gs://, the only place to install from (default: pip's own settings)
#
# From Miniconda comes the interpreter only: none of its channels is asked. Safe to run again: what is there stays.
# PREFIX stands before each path under the root directory, for trying it out.
set -euo pipefail
umask 022

PREFIX=${PREFIX:-}
PLACE=$PREFIX/opt/sentiment
SPARK_CONF=$PREFIX/etc/spark/conf
METADATA=$PREFIX/usr/share/google/get_metadata_value
PYTHON=$PLACE/environment/bin/python
MINICONDA=https://repo.anaconda.com/miniconda/Miniconda3-py311_24.9.2-0-Linux-x86_64.sh
MINICONDA_SITE_SHA256=62ef806265659c47e37e22e8f9adce29e75c4ea0497e619c280f54c823887c4f

step() { echo "$(date -u +%H:%M:%S) init-action: $*"; }

fail() {
  echo "$(date -u +%H:%M:%S) init-action: $*" >&2
  exit 1
}

setting() { # name: its value in the metadata, else in the environment; empty where there is none
  if [ -x "$METADATA" ]; then
    "$METADATA" "attributes/$1" 2>/dev/null || true
  else
    printf '%s' "${!1:-}"
  fi
}

fetch() { # what it is, a file from where, to where
  local complaint
  step "fetching $1 from $2"
  case $2 in
    gs://*) complaint=$(gcloud storage cp "$2" "$3" 2>&1) ;;
    https://*) complaint=$(curl --fail --silent --show-error --location --retry 3 --max-time 180 --output "$3" "$2" 2>&1) ;;
    *) complaint=$(cp "$2" "$3" 2>&1) ;;
  esac || fail "want $1 at $2, found: $(printf '%s\n' "$complaint" | grep -E 'ERROR|curl|cp:' | head -n 1)"
}

install_interpreter() {
  local source checksum
  source=$(setting MINICONDA_GCS_URI)
  checksum=$(setting MINICONDA_SHA256)
  if [ -z "$source" ]; then
    source=$MINICONDA checksum=$MINICONDA_SITE_SHA256
  fi
  if [ -f "$PLACE/.interpreter" ] && [ "$(<"$PLACE/.interpreter")" = "$source $checksum" ]; then
    step "the interpreter is there already"
    return
  fi
  rm -rf "${PLACE:?}"
  mkdir -p "$PLACE"
  fetch Miniconda "$source" "$work/miniconda.sh"
  if [ -n "$checksum" ]; then
    echo "$checksum  $work/miniconda.sh" | sha256sum --check --status ||
      fail "want Miniconda with SHA-256 $checksum, found $(sha256sum "$work/miniconda.sh" | cut -c 1-64) at $source"
  fi
  step "installing the interpreter"
  bash "$work/miniconda.sh" -b -p "$PLACE/miniconda" >"$work/log" 2>&1 ||
    fail "want a Miniconda installer at $source, found one that ends with: $(tail -n 1 "$work/log")"
  "$PLACE/miniconda/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    fail "want Python 3.11 in Miniconda, as Spark's own there, found $("$PLACE/miniconda/bin/python" --version 2>&1)"
  echo "$source $checksum" >"$PLACE/.interpreter"
}

install_packages() {
  local requirements wheels wanted
  requirements=$(setting REQUIREMENTS_GCS_URI)
  wheels=$(setting WHEELS_GCS_URI)
  [ -n "$requirements" ] || fail 'want the metadata key REQUIREMENTS_GCS_URI to name the pinned packages, found none'
  fetch 'the list of packages' "$requirements" "$work/requirements.txt"
  if grep -qiE '^pyspark([^a-z0-9_-]|$)' "$work/requirements.txt"; then
    fail "want $requirements without pyspark, which would hide the image's own, found it there"
  fi
  wanted=$(cksum <"$work/requirements.txt")
  if [ -f "$PLACE/.packages" ] && [ "$(<"$PLACE/.packages")" = "$wanted" ]; then
    step 'the packages are there already'
    return
  fi
  # The list is complete: nothing is resolved, and nothing is compiled on the spot.
  set -- --requirement "$work/requirements.txt" --no-deps --only-binary :all: --no-cache-dir --no-input --quiet
  if [ -n "$wheels" ]; then
    step "fetching wheels from $wheels"
    mkdir "$work/wheels"
    gcloud storage cp "${wheels%/}/*.whl" "$work/wheels/" >"$work/log" 2>&1 ||
      fail "want wheels under WHEELS_GCS_URI $wheels, found: $(grep ERROR "$work/log" | head -n 1)"
    set -- "$@" --no-index --find-links "$work/wheels"
  fi
  rm -rf "$PLACE/environment" "$PLACE/.packages"
  # pip installs into an environment of its own: what Miniconda brings for itself is not in the way.
  "$PLACE/miniconda/bin/python" -m venv "$PLACE/environment" >"$work/log" 2>&1 ||
    fail "want an environment in $PLACE, found: $(tail -n 1 "$work/log")"
  step "installing $(grep -cE '^[A-Za-z0-9]' "$work/requirements.txt") lines of packages"
  "$PYTHON" -m pip --disable-pip-version-check install "$@" >"$work/log" 2>&1 ||
    fail "want the packages of $requirements, found: $(grep -E 'ERROR' "$work/log" | tail -n 1)"
  "$PYTHON" -m pip --disable-pip-version-check check >"$work/log" 2>&1 ||
    fail "want a complete list of packages at $requirements, found: $(head -n 1 "$work/log")"
  echo "$wanted" >"$PLACE/.packages"
}

# Replace what an earlier run has written into a file of Spark's: everything between the two marks.
write_block() { # file, lines
  local begin='# >>> sentiment suite' end='# <<< sentiment suite'
  touch "$1"
  sed "/^$begin\$/,/^$end\$/d" "$1" >"$work/block"
  [ -z "$(tail -c 1 "$work/block")" ] || echo >>"$work/block" # the file's last line may have no end
  printf '%s\n%s\n%s\n' "$begin" "$2" "$end" >>"$work/block"
  cat "$work/block" >"$1" # the file keeps its owner and mode
}

tell_spark() {
  if [ ! -d "$SPARK_CONF" ]; then
    [ -n "$PREFIX" ] || fail "want Spark's configuration in $SPARK_CONF, found nothing there"
    step "no Spark under $PREFIX to tell"
    return
  fi
  write_block "$SPARK_CONF/spark-defaults.conf" "spark.pyspark.python $PYTHON
spark.pyspark.driver.python $PYTHON"
  write_block "$SPARK_CONF/spark-env.sh" "export PYSPARK_PYTHON=$PYTHON PYSPARK_DRIVER_PYTHON=$PYTHON"
  step "Spark's driver and executors take $PYTHON"
}

SECONDS=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install_interpreter
install_packages
tell_spark
step "done in $SECONDS s"
