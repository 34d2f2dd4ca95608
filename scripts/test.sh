#!/usr/bin/env bash
# All checks, one after the other, up to the first that fails. `make test` runs
# it, with the tools installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step="the start"
skipped=()
summary() {
  local status=$? notes="nothing skipped"
  [[ ${#skipped[@]} == 0 ]] || notes="skipped: $(printf '%s; ' "${skipped[@]}" | sed 's/; $//')"
  if [[ $status == 0 ]]; then
    echo "PASS: format, vet, linter, tests, in ${SECONDS} s; $notes"
  else
    echo "FAIL: $step, after ${SECONDS} s; $notes"
  fi
}
trap summary EXIT

# run NAME COMMAND…
run() {
  step=$1
  echo "== $step"
  "${@:2}"
}

race=(-race)
export CGO_ENABLED=1
if ! scripts/has-compiler.sh; then
  race=()
  CGO_ENABLED=0
  skipped+=("the race detector, for want of a C compiler")
fi
[[ -d .tools/node_modules/standardwebhooks ]] || skipped+=("the JavaScript library as a judge, for want of node and npm")
if [[ ${CI:-} == true && ${#skipped[@]} != 0 ]]; then
  step="a tool is missing, under CI=true"
  exit 1
fi

run "format" .tools/bin/golangci-lint fmt --diff
run "vet" go vet ./...
run "linter" .tools/bin/golangci-lint run
run "tests" go test "${race[@]}" -shuffle=on -timeout=15m ./...
