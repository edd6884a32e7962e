#!/usr/bin/env bash
# Creates the Dataproc cluster that trains and serves, with the Python packages of the jobs on every machine.
#
#   ci-cd/create-cluster.sh [--spot-workers N] [--workers N] [--image VERSION] [--max-idle DURATION]
#                           [--environment init-action|none] [--env FILE] [--dry-run]
#
#   --spot-workers N    secondary workers on spot machines, for training (default: 0). They hold no data; a stream
#                       does not want them: each that is taken away costs it a retried task
#   --workers N         primary workers; 0 makes a cluster of one machine, else at least 2 (default: 2)
#   --image VERSION     image 3.0-debian12 or 3.0-ubuntu24 (Spark 4.0), 2.2-ubuntu22, 2.2-debian12 and their kin
#                       (Spark 3.5) (default: 3.0-debian12)
#   --machine-type T    of master and workers (default: n2-standard-4)
#   --max-idle TIME     delete the cluster when no job has run that long, such as 2h; a stream counts as a job
#                       (default: never)
#   --environment HOW   init-action installs requirements-cluster.txt beside the image's Python; none leaves the
#                       machines alone, for jobs that bring an archive of build-environment.sh (default: init-action)
#   --env FILE          settings as NAME=VALUE lines (default: ci-cd/env); the environment has precedence
#   --dry-run           show the commands, change nothing
#
# Settings: PROJECT_ID, REGION, CLUSTER, CODE_BUCKET, STAGING_BUCKET; ZONE (default: Dataproc chooses);
# MINICONDA_GCS_URI, MINICONDA_SHA256 and WHEELS_GCS_URI for machines that cannot reach the internet
# (ci-cd/init-actions/ says what they are).
# A cluster that is there already stays as it is; one that takes no jobs yet is waited for: exit 0.
set -euo pipefail
unset CDPATH
NAME=create-cluster
caller=$PWD
case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac
. ci-cd/lib.sh

LOOK_SECONDS=10
spot=0 workers=2 image=3.0-debian12 machine=n2-standard-4 idle='' environment=init-action env_file=''
while [ $# -gt 0 ]; do
  case $1 in
    --help) print_help ci-cd/create-cluster.sh; exit ;;
    --dry-run) DRY_RUN=1; shift; continue ;;
    --spot-workers) need_value "$@"; spot=$2 ;;
    --workers) need_value "$@"; workers=$2 ;;
    --image) need_value "$@"; image=$2 ;;
    --machine-type) need_value "$@"; machine=$2 ;;
    --max-idle) need_value "$@"; idle=$2 ;;
    --environment) need_value "$@"; environment=$2 ;;
    --env) need_value "$@"; env_file=$2 ;;
    *) usage_error "want the arguments that --help lists, found $1" ;;
  esac
  shift 2
done

need_number --spot-workers "$spot" 'a whole number' 0
need_number --workers "$workers" '0 or at least 2' 0
[ "$workers" -ne 1 ] || usage_error 'want --workers to be 0 or at least 2, found 1'
if [ "$workers" -eq 0 ] && [ "$spot" -gt 0 ]; then
  usage_error "want --workers 2 or more beside --spot-workers $spot, found 0"
fi
case $image in
  2.[23]-* | 3.0-* | 2.[23].[0-9]*-* | 3.0.[0-9]*-*) ;;
  *) usage_error "want --image 3.0-debian12, 2.2-ubuntu22 or their kin (Spark 4.0 or 3.5), found $image" ;;
esac
case $environment in init-action | none) ;; *) usage_error "want --environment init-action or none, found $environment" ;; esac
load_settings "$env_file"

need_gcloud
told=''
while [ -z "$DRY_RUN" ]; do
  find_cluster
  case $cluster_state in
    '') break ;; # also where one that was waited for has gone
    RUNNING | UPDATING)
      say "cluster $CLUSTER is there already in $REGION: $cluster_state"
      exit 0
      ;;
    CREATING | STARTING | REPAIRING)
      [ "$cluster_state" = "$told" ] ||
        say "cluster $CLUSTER is there already in $REGION: $cluster_state; waiting until it takes jobs"
      told=$cluster_state
      sleep "$LOOK_SECONDS"
      ;;
    *) fail "want no cluster $CLUSTER in $REGION or a running one, found it $cluster_state; ci-cd/delete-cluster.sh removes it" ;;
  esac
done
need_bucket STAGING_BUCKET "$STAGING_BUCKET"

arguments=("$CLUSTER" --region="$REGION" --image-version="$image" --bucket="$STAGING_BUCKET"
  --master-machine-type="$machine" --labels=suite=sentiment)
[ -z "${ZONE:-}" ] || arguments+=(--zone="$ZONE")
[ -z "$idle" ] || arguments+=(--max-idle="$idle")
if [ "$workers" -eq 0 ]; then
  arguments+=(--single-node)
else
  arguments+=(--num-workers="$workers" --worker-machine-type="$machine")
fi
[ "$spot" -eq 0 ] || arguments+=(--num-secondary-workers="$spot" --secondary-worker-type=spot)

if [ "$environment" = init-action ]; then
  need_bucket CODE_BUCKET "$CODE_BUCKET"
  find_revision
  place=gs://$CODE_BUCKET/code/$revision
  action=init-conda-spark-nlp-mlflow.sh
  change storage cp "ci-cd/init-actions/$action" requirements-cluster.txt "$place/"
  metadata=REQUIREMENTS_GCS_URI=$place/requirements-cluster.txt
  for key in MINICONDA_GCS_URI MINICONDA_SHA256 WHEELS_GCS_URI; do
    [ -z "${!key:-}" ] || metadata=$metadata,$key=${!key}
  done
  arguments+=(--initialization-actions="$place/$action" --initialization-action-timeout=10m --metadata="$metadata")
fi

change dataproc clusters create "${arguments[@]}"
[ -n "$DRY_RUN" ] || say "cluster $CLUSTER is running in $REGION (image $image, workers: $workers, spot: $spot)"
