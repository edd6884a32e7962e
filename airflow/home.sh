# Sourced by the scripts beside it: takes no argument but --help, goes to the checkout, sets home to Airflow's.
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
case $0 in */*) cd "${0%/*}/.." || exit ;; *) cd .. || exit ;; esac
home=${home:-$PWD/.airflow}
