#!/usr/bin/env bash
# Packs the Python of the jobs, interpreter and packages, into one archive that a job brings along: clusters need no
# init action then, and two jobs on one cluster may have different packages.
#
#   ci-cd/build-environment.sh [--output FILE] [--requirements FILE] [--upload] [--env FILE] [--dry-run]
#
#   --output FILE         the archive to write (default: dist/environment.tar.gz)
#   --requirements FILE   the pinned packages, all of them (default: requirements-cluster.txt)
#   --upload              put it under gs://CODE_BUCKET/environments/ too, named by a hash of what is in it
#   --env FILE            settings as NAME=VALUE lines (default: ci-cd/env); the environment has precedence
#   --dry-run             show the commands of --upload
#
# The interpreter is Miniconda's, of its site or MINICONDA_GCS_URI (gs://, https:// or a path); WHEELS_GCS_URI names a
# folder of wheels to install from instead of pip's index. Linux only, for machines of the same processor whose C library
# is not older than the wheels ask for (manylinux: all Dataproc images). The driver has to run on the cluster:
# in client mode it would start before the archive is unpacked. The commands are printed at the end.
set -euo pipefail
unset CDPATH
NAME=build-environment
caller=$PWD
case $0 in */*) cd "${0%/*}/.." ;; *) cd .. ;; esac
. ci-cd/lib.sh

output='' requirements='' upload='' env_file=''
while [ $# -gt 0 ]; do
  case $1 in
    --help) print_help ci-cd/build-environment.sh; exit ;;
    --dry-run) DRY_RUN=1; shift ;;
    --upload) upload=1; shift ;;
    --output) need_value "$@"; output=$2; shift 2 ;;
    --requirements) need_value "$@"; requirements=$2; shift 2 ;;
    --env) need_value "$@"; env_file=$2; shift 2 ;;
    *) usage_error "want the arguments that --help lists, found $1" ;;
  esac
done
case $output in '' | *.tar.gz) ;; *) usage_error "want --output to end in .tar.gz, found $output" ;; esac
if [ -n "$requirements" ] && [ ! -f "$(from_caller "$requirements")" ]; then
  usage_error "want --requirements to name a file of pinned packages, found nothing at $requirements"
fi
output=${output:+$(from_caller "$output")} requirements=${requirements:+$(from_caller "$requirements")}
: "${output:=dist/environment.tar.gz}" "${requirements:=requirements-cluster.txt}"
if [ -n "$upload" ]; then load_settings "$env_file"; else read_settings "$env_file"; fi # a project is for --upload
[ "$(uname -s)" = Linux ] || fail "want Linux, as the cluster's machines have it, found $(uname -s)"
if [ -n "$upload" ]; then
  need_gcloud
  need_bucket CODE_BUCKET "$CODE_BUCKET"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The init action installs, under a root of its own.
PREFIX=$work REQUIREMENTS_GCS_URI=$requirements MINICONDA_GCS_URI=${MINICONDA_GCS_URI:-} \
  MINICONDA_SHA256=${MINICONDA_SHA256:-} WHEELS_GCS_URI=${WHEELS_GCS_URI:-} \
  bash ci-cd/init-actions/init-conda-spark-nlp-mlflow.sh

# An environment points at its interpreter by a path that is not there elsewhere: the packages go into the interpreter's
# own tree, which is found from wherever bin/python lies. What else Miniconda brings stays behind.
tree=$work/opt/sentiment/miniconda
for unneeded in pkgs conda-meta condabin envs share include man etc/conda lib/python3.11/site-packages; do
  rm -rf "${tree:?}/$unneeded"
done
mv "$work/opt/sentiment/environment/lib/python3.11/site-packages" "$tree/lib/python3.11/site-packages"
find "$tree/bin" -type f ! -name 'python*' -delete # scripts that name the path where they were installed

moved=$work/moved
mv "$tree" "$moved"
outside=$("$moved/bin/python" -I -c "
import ctypes, hashlib, ssl, sys
mapped = {line.split()[-1] for line in open('/proc/self/maps') if '/' in line}
print(*sorted(path for path in mapped if not path.startswith((sys.prefix, '/lib', '/usr/', '/etc/ld.so'))))
") || fail "want an interpreter that runs wherever it is unpacked, found one that does not"
[ -z "$outside" ] || fail "want an interpreter with its libraries beside it, found one that takes $outside"
packages=$("$moved/bin/python" -I -m pip --disable-pip-version-check freeze --all) ||
  fail "want an archive that tells its packages, found one that does not"

case $output in */*) mkdir -p "${output%/*}" ;; esac
tar -czf "$output.part" -C "$moved" .
mv "$output.part" "$output"
say "$output: $(du -h "$output" | cut -f 1)"

place='gs://CODE_BUCKET/environment.tar.gz'
if [ -n "$upload" ]; then
  place=gs://$CODE_BUCKET/environments/$(printf '%s' "$packages" | git hash-object --stdin | cut -c 1-12)/environment.tar.gz
  change storage cp "$output" "$place"
fi
cat <<END
Bring it along with a job:
  gcloud dataproc jobs submit pyspark ... --archives $place#environment \\
    --properties spark.submit.deployMode=cluster,spark.pyspark.python=./environment/bin/python,\\
spark.pyspark.driver.python=./environment/bin/python,spark.yarn.appMasterEnv.PYSPARK_PYTHON=./environment/bin/python
END
