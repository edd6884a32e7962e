# Sourced by the scripts beside it: takes no argument but --help, goes to the checkout, sets home to Airflow's. pid_file
# is where the process is noted, with its address, that start_services.sh has started; airflow.pid there is that of `make up`.
# shellcheck shell=bash
unset CDPATH
script=${0##*/}
script=${script%.sh}
case ${1:-} in
  '') ;;
  --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$0"; exit ;;
  *) echo "$script: want no arguments or --help, found $1" >&2; exit 2 ;;
esac
home=${AIRFLOW_HOME:-}
case $home in '' | /*) ;; *) home=$PWD/$home ;; esac
case $0 in */*) cd "${0%/*}/.." || exit ;; *) cd .. || exit ;; esac
home=${home:-$PWD/.airflow}
# shellcheck disable=SC2034
pid_file=$home/standalone.pid

# Whether a process is the noted one still: another may have its number, after a restart of the machine, say.
is_airflow() { # pid
  case $(ps -ww -o args= -p "$1" 2>/dev/null) in *airflow/standalone.py*) ;; *) return 1 ;; esac
}
