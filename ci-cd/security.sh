#!/usr/bin/env bash
# The security checks of CI, each told in a line of one table: `make security`.
#
#   ci-cd/security.sh [--offline]
#
#   secrets   detect-secrets over all files that git knows; what is none stands in .secrets.baseline
#   code      bandit's rules, as ruff has them
#   audit     known vulnerabilities of the pinned packages: the one check that needs the network, or an answer of the
#             last seven days in .local/audit.json (ci-cd/audit_dependencies.py)
#   sbom      writes dist/sbom.cdx.json and dist/sbom-cluster.cdx.json (CycloneDX)
#
# --offline asks nobody: an audit that could not be made is told as NOT CHECKED and does not fail the run, which it
# does without --offline. Exit 1: some check failed.
set -uo pipefail
unset CDPATH
case $0 in */*) cd "${0%/*}/.." || exit ;; *) cd .. || exit ;; esac

offline=''
case ${1:-} in
  '') ;;
  --offline) offline=1 ;;
  --help) sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p;}' ci-cd/security.sh; exit ;;
  *) echo "security: want nothing or --offline, found $1" >&2; exit 2 ;;
esac

bin=.venv/bin
exceptions=S101,S603,S607,S608 # those of pyproject.toml, which says why
status=0 table=''
line() { table=$table$(printf '%-8s %s' "$1" "$2")$'\n'; }

scan() { # detect-secrets-hook must not go to the network to try out what it found
  local file files=() copy said status=0
  while IFS= read -r -d '' file; do files+=("$file"); done < <(
    git ls-files -z --cached --others --exclude-standard -- . ':!.secrets.baseline' ':!requirements*.txt'
  )
  [ ${#files[@]} -gt 0 ] || return # git knows none, or failed
  # Where what is no secret has moved to another line, the hook writes that into the baseline, and exits with 3.
  copy=$(mktemp) && cp .secrets.baseline "$copy" || return
  said=$("$bin/detect-secrets-hook" --no-verify --baseline "$copy" "${files[@]}") || status=$?
  rm -f "$copy"
  case $status in
    0 | 3) ;;
    *) printf '%s\n' "$said"; return 1 ;;
  esac
}

sbom() {
  local name
  mkdir -p dist
  for name in '' -cluster; do
    "$bin/python" -W ignore -m cyclonedx_py requirements "requirements$name.txt" --pyproject pyproject.toml --output-reproducible \
      --output-format JSON --output-file "dist/sbom$name.cdx.json" || return
  done
}

clean='nothing found'
if scan; then line secrets "$clean"; else line secrets FAILED; status=1; fi
if "$bin/ruff" check --quiet --select S --ignore "$exceptions" .; then line code "$clean"; else line code FAILED; status=1; fi
"$bin/python" ci-cd/audit_dependencies.py ${offline:+--offline} \
  requirements.txt requirements-cluster.txt requirements-dev.txt requirements-bench.txt requirements-spark35.txt
case $? in
  0) line audit 'no known vulnerabilities' ;;
  3) if [ -n "$offline" ]; then line audit 'NOT CHECKED (--offline)'; else line audit 'FAILED: NOT CHECKED'; status=1; fi ;;
  *) line audit FAILED; status=1 ;;
esac
if sbom; then line sbom 'dist/sbom.cdx.json, dist/sbom-cluster.cdx.json'; else line sbom FAILED; status=1; fi
printf '%s' "$table"
exit "$status"
