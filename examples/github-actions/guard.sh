#!/usr/bin/env bash
# Trains a suite, compares it with a baseline, and writes the comparison as the job's summary.
#   guard.sh SUITE BASELINE [more words of `aebench run`]
# Exits with 0 where all is well, 1 where something got worse or is missing or a run failed or
# diverged, 2 on bad input.
set -euo pipefail
suite=$1 baseline=$2
shift 2
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

code=0
aebench run "$suite" --out "$out/results" "$@" || code=$?
if [ "$code" -gt 1 ]; then exit "$code"; fi
if [ "$code" -eq 1 ]; then
  cat >"$out/check.md" <<'END'
**A run failed or diverged, or references could not be scored; so the job fails whatever the comparison
says.** The last lines of `aebench run` in the log say which, and why.

END
fi
# Also after a run that failed or diverged: the comparison says which scores are missing.
aebench check "$out/results" --against "$baseline" >>"$out/check.md" || code=$?
cat "$out/check.md"
cat "$out/check.md" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
exit "$code"
