#!/usr/bin/env bash
# Deletes the Dataproc cluster; buckets and what is in them stay.
#
#   ci-cd/delete-cluster.sh [--force] [--wait SECONDS] [--env FILE] [--dry-run]
#
#   --force       delete it also while jobs run on it: they are cancelled, a stream goes on elsewhere from its checkpoint
#   --wait S      how long jobs that are about to end are waited for (default: 60): a drained stream's driver is one
#   --env FILE    settings as NAME=VALUE lines (default: ci-cd/env); the environment has precedence
#   --dry-run     show the command, change nothing
#
# Settings: PROJECT_ID, REGION, CLUSTER. A cluster that is not there is told: exit 0.
set -euo pipefail
unset CDPATH
NAME=delete-cluster
caller=$PWD
case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac
. ci-cd/lib.sh

force='' env_file='' patience=60
while [ $# -gt 0 ]; do
  case $1 in
    --help) print_help ci-cd/delete-cluster.sh; exit ;;
    --dry-run) DRY_RUN=1; shift ;;
    --force) force=1; shift ;;
    --wait) need_value "$@"; patience=$2; shift 2 ;;
    --env) need_value "$@"; env_file=$2; shift 2 ;;
    *) usage_error "want the arguments that --help lists, found $1" ;;
  esac
done
need_number --wait "$patience" 'a whole number of seconds' 0
load_settings "$env_file"

need_gcloud
if [ -z "$DRY_RUN" ]; then
  find_cluster
  if [ -z "$cluster_state" ]; then
    say "there is no cluster $CLUSTER in $REGION"
    exit 0
  fi
  if [ -z "$force" ]; then
    until=$((SECONDS + patience)) told=''
    while
      cloud dataproc jobs list --region="$REGION" --cluster="$CLUSTER" --state-filter=active \
        --format='value(reference.jobId)' || fail "want to see the jobs on CLUSTER $CLUSTER, found: $cloud_error"
      [ -n "$answer" ]
    do
      active=${answer//$'\n'/, }
      [ "$SECONDS" -lt "$until" ] ||
        fail "want no active job on CLUSTER $CLUSTER, found $active; drain a stream first, or --force"
      [ "$told" = "$active" ] || say "waiting up to $patience s for the end of $active"
      told=$active
      sleep 3
    done
  fi
fi
change dataproc clusters delete "$CLUSTER" --region="$REGION"
[ -n "$DRY_RUN" ] || say "cluster $CLUSTER is deleted"
