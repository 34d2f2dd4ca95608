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

# What is tested on Postgres too: what owns tables or opens databases, and what
# stands or falls with them.
on_postgres=(
  ./internal/api ./internal/audit ./internal/db ./internal/dialect/... ./internal/dispatch ./internal/job ./internal/jwks
  ./internal/node ./internal/secret ./internal/session ./internal/tenant ./internal/timer ./internal/webhook
)
# These start no goroutines of their own, and on SQLite the detector has seen them.
on_postgres_without_race=(./internal/engine/... ./internal/fact ./internal/referral)

postgres() {
  GRAPEVINE_TEST_DATABASE=postgres go test "${race[@]}" -shuffle=on -timeout=15m "${on_postgres[@]}" &&
    GRAPEVINE_TEST_DATABASE=postgres go test -shuffle=on -timeout=15m "${on_postgres_without_race[@]}" &&
    GRAPEVINE_TEST_DATABASE=postgres go test "${race[@]}" -timeout=5m -run 'OnPostgres|TestCommands/demo_postgres' ./internal/app ./internal/cli
}

# SQLite, translated from C, is most of what tests compute and is not ours to check:
# without the detector's marks in it a package is through in a fifth of the time.
race=(-race '-gcflags=modernc.org/...=-race=false')
export CGO_ENABLED=1
if ! scripts/has-compiler.sh; then
  race=()
  CGO_ENABLED=0
  skipped+=("the race detector, for want of a C compiler")
fi
[[ -d .tools/node_modules/express ]] || skipped+=("the JavaScript packages as judges, for want of node and npm")
command -v chromium >/dev/null || skipped+=("the console in a browser, for want of Chromium")
if [[ -z ${TEST_POSTGRES_URL:-} ]] && ! scripts/has-postgres.sh; then
  on_postgres=()
  skipped+=("Postgres, for want of a server: install one, or name one in TEST_POSTGRES_URL")
fi
command -v pgbouncer >/dev/null || skipped+=("Postgres through a pooler, for want of PgBouncer")
if [[ ${CI:-} == true && ${#skipped[@]} != 0 ]]; then
  step="a tool is missing, under CI=true"
  exit 1
fi

for shell in zsh fish; do
  command -v "$shell" >/dev/null || skipped+=("completion in $shell, for want of it")
done

run "format" .tools/bin/golangci-lint fmt --diff
run "vet" go vet ./...
run "linter" .tools/bin/golangci-lint run
run "tests" go test "${race[@]}" -shuffle=on -timeout=15m ./...
if [[ ${#on_postgres[@]} != 0 ]]; then
  run "postgres" postgres
fi
# With the race detector a world, or a history, takes many times as long, and there
# are few.
run "simulation" go test -timeout=15m -run=TestARandomWorld ./internal/dispatch
run "histories" go test -timeout=15m ./internal/referral ./internal/engine/ledger
