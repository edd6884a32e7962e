#!/usr/bin/env bash
# Asks the stream that runs on CHECKPOINT to complete the batch in work and end: `make drain CHECKPOINT=path`.
#
# The request is an object, <checkpoint>/control/drain, that the driver looks for; its next start removes it.
set -euo pipefail
unset CDPATH

checkpoint=${CHECKPOINT:-}
checkpoint=${checkpoint%/}
case $checkpoint in
  '')
    echo 'drain: want CHECKPOINT to name the checkpoint of a stream, found nothing' >&2
    exit 2
    ;;
  gs://*) printf '{}\n' | gcloud storage cp - "$checkpoint/control/drain" ;;
  *://*)
    echo "drain: want a local path or gs://, found $checkpoint; put an object there at $checkpoint/control/drain" >&2
    exit 2
    ;;
  *)
    if [ ! -f "$checkpoint/settings.json" ]; then
      echo "drain: want CHECKPOINT to name the checkpoint of a stream, found none at $checkpoint" >&2
      exit 1
    fi
    mkdir -p "$checkpoint/control"
    printf '{}\n' >"$checkpoint/control/drain"
    ;;
esac
echo "drain: asked; the stream ends when its batch is complete"
