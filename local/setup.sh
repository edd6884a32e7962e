#!/usr/bin/env bash
# Makes the environment of this checkout, once: `make setup`, `make test` and `make run` all start here.
#
#   local/setup.sh            .venv from requirements.txt
#   local/setup.sh dev        the same, and requirements-dev.txt (pytest, ruff, mypy)
#   local/setup.sh spark35    .venv-spark35 from requirements-spark35.txt
#   local/setup.sh bench      .venv-bench from requirements-bench.txt (a peer of `make bench`)
#   local/setup.sh uv         .venv with the installer alone, for `make lock`
#   local/setup.sh --check    says which Python and Java it would take, and makes nothing
#
# PYTHON and JAVA_HOME choose others than the first on PATH. Runs under bash 3.2, which is macOS's own.
set -euo pipefail
unset CDPATH
case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac

UV_VERSION=0.13.9
WANTED_PYTHON=3.11
WANTED_JAVA=17

fail() {
  echo "setup: $*" >&2
  exit 1
}

# Sets python and python_found. A pyenv shim or a stub that prints an error instead of a version counts as none.
find_python() {
  local name path version seen='' hint="set PYTHON to a Python $WANTED_PYTHON"
  local probe='import sys; print("%d.%d.%d" % sys.version_info[:3])'
  local candidates=(python3.11 python3 python)
  [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
  for name in "${candidates[@]}"; do
    path=$(command -v "$name") || continue
    version=$("$path" -c "$probe" 2>/dev/null) || continue
    case $version in
      "$WANTED_PYTHON".*)
        if "$path" -c 'import ensurepip, venv' 2>/dev/null; then
          python=$path
          python_found="Python $version ($path)"
          return
        fi
        version="$version without its venv module"
        hint='on Debian and Ubuntu install python3.11-venv'
        ;;
    esac
    seen="${seen:+$seen, }Python $version ($path)"
  done
  [ -n "$seen" ] || seen="none${PYTHON:+ (PYTHON=$PYTHON)}"
  fail "want Python $WANTED_PYTHON, found $seen; $hint"
}

# Sets java_found. macOS's /usr/bin/java exits non-zero when there is no Java behind it: that is none.
find_java() {
  local path output version='' hint="set JAVA_HOME to a JDK $WANTED_JAVA"
  local pattern='version "(1\.)?([0-9]+)[^"]*"'
  if [ -n "${JAVA_HOME:-}" ]; then
    path=$JAVA_HOME/bin/java
    [ -x "$path" ] || fail "want Java $WANTED_JAVA, found none (JAVA_HOME=$JAVA_HOME has no bin/java); $hint"
  else
    path=$(command -v java) || fail "want Java $WANTED_JAVA, found none on PATH; $hint"
  fi
  if output=$("$path" -version 2>&1 </dev/null) && [[ $output =~ $pattern ]]; then
    version=${BASH_REMATCH[2]}
  fi
  [ -n "$version" ] || fail "want Java $WANTED_JAVA, found none ($path runs no Java); $hint"
  [ "$version" = "$WANTED_JAVA" ] || fail "want Java $WANTED_JAVA, found Java $version ($path); $hint"
  java_found="Java $version ($path)"
}

# What a finished environment was made from: it is stale when these files, the place or this script's uv changed.
fingerprint() {
  echo "$(pwd -P) uv-$UV_VERSION"
  cksum "$@" </dev/null
}

is_ready() { # stamp, requirements files
  local stamp=$1
  shift
  [ -f "$stamp" ] && [ ! -e "$venv/.unfinished" ] && [ "$(<"$stamp")" = "$(fingerprint "$@")" ] &&
    "$venv/bin/python" -c '' 2>/dev/null
}

# One set-up of an environment at a time, until this script ends: another waits. Not flock, which macOS has not.
# A lock whose owner was killed is taken over, by one: who makes the folder that is named after that owner.
locked=''
lock() {
  local owner told='' tries=0
  [ -z "$locked" ] || return 0
  until mkdir "$venv.lock" 2>/dev/null; do
    [ -d "$venv.lock" ] || [ "$tries" -lt 10 ] || fail "want to make $venv.lock, found that no folder can be made there"
    if ! read -r owner 2>/dev/null <"$venv.lock/pid"; then # as in the moment after it was made
      owner='' tries=$((tries + 1))
    fi
    if [ -n "$owner" ] && kill -0 "$owner" 2>/dev/null; then
      [ -n "$told" ] || echo "setup: another set-up is at work (pid $owner, its lock is $venv.lock): waiting for it"
      told=yes tries=0
    elif [ -n "$owner" ] || [ "$tries" -ge 10 ]; then
      if mkdir "$venv.lock/after-${owner:-nobody}" 2>/dev/null; then break; fi
    fi
    sleep 0.2
  done
  echo $$ >"$venv.lock/pid"
  locked=yes
  trap 'rm -rf "$venv.lock"' EXIT
}

# An environment with uv in it. `.unfinished` stands in it while anything is being installed: one that an earlier run
# left half done, or that came with a copied checkout, is made anew.
make_venv() {
  [ -n "${python:-}" ] || find_python
  lock
  if [ -d "$venv" ] && ! rmdir "$venv" 2>/dev/null; then
    if [ ! -e "$venv/.unfinished" ] && is_ready "$venv/.stamp-uv"; then return; fi
    if [ ! -e "$venv/.unfinished" ] && [ ! -e "$venv/.stamp-uv" ]; then
      fail "want $venv to be an environment that this script made, found another; move it elsewhere or remove it"
    fi
    echo "setup: $venv is half done, old or moved: removing it"
    rm -rf "$venv"
  fi
  mkdir "$venv"
  : >"$venv/.unfinished"
  echo "setup: making $venv with $python_found"
  "$python" -m venv "$venv"
  echo "setup: installing uv $UV_VERSION, which installs the rest"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
  fingerprint >"$venv/.stamp-uv"
  rm "$venv/.unfinished"
}

# uv does not read pip's configuration: on a machine whose pip goes through a mirror, uv shall go there too.
use_pip_settings() {
  local index cert
  if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
    index=${PIP_INDEX_URL:-$("$venv/bin/python" -m pip config get global.index-url 2>/dev/null || true)}
    [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
  fi
  cert=${PIP_CERT:-$("$venv/bin/python" -m pip config get global.cert 2>/dev/null || true)}
  [ -z "$cert" ] || export SSL_CERT_FILE=${SSL_CERT_FILE:-$cert}
}

install() { # stamp name, requirements files
  local stamp=$venv/.stamp-$1 file
  shift
  if is_ready "$stamp" "$@"; then return; fi
  [ -n "${python:-}" ] || find_python
  lock
  if is_ready "$stamp" "$@"; then return; fi # by now
  make_venv
  : >"$venv/.unfinished"
  rm -f "$stamp"
  local files=()
  for file in "$@"; do files+=(-r "$file"); done
  echo "setup: installing $* into $venv (a minute or so; several on a slow line, the first time)"
  use_pip_settings
  # The files name everything that is to be there: nothing is left to resolve, for which uv would ask for the metadata of
  # each package, and build pyspark anew where its index says nothing of how long an answer is good.
  # The list of some 300 packages is left out; what uv downloads and how far it is stays visible.
  "$venv/bin/uv" pip install --no-deps --python "$venv/bin/python" "${files[@]}" 2>&1 | sed '/^ [+~-] /d'
  fingerprint "$@" >"$stamp"
  rm "$venv/.unfinished"
  echo "setup: $venv is ready"
}

venv=.venv
case ${1:-run} in
  --check)
    find_python
    find_java
    echo "setup: $python_found, $java_found"
    ;;
  run)
    find_java
    install run requirements.txt
    ;;
  dev)
    find_java
    install run requirements.txt
    install dev requirements.txt requirements-dev.txt
    ;;
  spark35)
    venv=.venv-spark35
    find_java
    install spark35 requirements-spark35.txt
    ;;
  bench)
    venv=.venv-bench
    install bench requirements-bench.txt
    ;;
  uv) make_venv ;;
  *)
    echo "setup: want nothing or one of dev, spark35, bench, uv, --check; got '$1'" >&2
    exit 2
    ;;
esac
