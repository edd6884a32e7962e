#!/usr/bin/env bash
# Stops, shows or removes the local services: `make down`, `make status`, `make reset`.
#
# What was never set up has none of them. Where the environment is gone and services may still run, nothing is touched.
set -euo pipefail
unset CDPATH
case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac

if [ -x .venv/bin/python ]; then exec .venv/bin/python local/up.py "$@"; fi

place=${SENTIMENT_LOCAL:-.local}
if find "$place" -maxdepth 2 -name '*.pid' 2>/dev/null | grep . >/dev/null; then
  echo "$1: want the environment of this checkout (make setup), found none, and services in $place may run" >&2
  exit 1
fi
if [ "$1" != reset ]; then
  echo "$1: nothing was ever started here"
elif [ $# -gt 1 ] || [ "$place" != .local ]; then
  echo "$1: want the environment of this checkout (make setup) for anything but .local/ as a whole, found none" >&2
  exit 1
else
  rm -rf .local
fi
