#!/usr/bin/env bash
# Compiles the requirements files from their .in files: `make lock`, or `make lock ARGS=--upgrade` for newer versions.
set -euo pipefail
unset CDPATH
case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac

local/setup.sh uv
# jsonschema imports rfc3987-syntax where it is there, to check IRIs that no file of ours holds: 2.5 s, and as much in each
# process of Airflow, which imports jsonschema. What is left out here is not installed (local/setup.sh).
unwanted=(--no-emit-package rfc3987-syntax --no-emit-package lark)
# requirements-bench.in, requirements-cluster.in and requirements-dev.in are constrained by requirements.txt: that one comes first.
for name in requirements requirements-bench requirements-cluster requirements-dev requirements-spark35; do
  echo "lock: $name.txt"
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-annotate \
    --custom-compile-command 'make lock' "${unwanted[@]}" "$@" "$name.in" --output-file "$name.txt"
done
