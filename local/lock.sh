#!/usr/bin/env bash
# Compiles the requirements files from their .in files: `make lock`, or `make lock ARGS=--upgrade` for newer versions.
set -euo pipefail
unset CDPATH
case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac

local/setup.sh uv
# requirements-bench.in, requirements-cluster.in and requirements-dev.in are constrained by requirements.txt: that one comes first.
for name in requirements requirements-bench requirements-cluster requirements-dev requirements-spark35; do
  echo "lock: $name.txt"
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-annotate \
    --custom-compile-command 'make lock' "$@" "$name.in" --output-file "$name.txt"
done
