#!/usr/bin/env bash
# Installs what the tests need: scripts/tools.sh [compiler|linter|judge|browser|postgres|shells]…,
# by default all of it.
#
#   compiler   gcc, for the race detector           a package of the system
#   linter     golangci-lint, built from source     .tools/bin
#   judge      the npm packages of tools/,          .tools/node_modules
#              node to run them, and python3        packages of the system
#   browser    Chromium, to walk the console in      a package of the system
#   postgres   Postgres and PgBouncer, for servers  packages of the system
#              of the tests' own
#   shells     zsh and fish, to try completion in   packages of the system
#
# Packages of the system are installed with apt-get, as root only. What can't be
# had is named, and what needs it is skipped, except under CI=true: there it is
# an error, but for the shells. Versions are pinned here and in tools/package-lock.json.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

golangci_lint=v2.15.0

# missing PACKAGE CONSEQUENCE
missing() {
  if [[ ${CI:-} == true ]]; then
    echo "Error: $1 is missing and could not be installed." >&2
    exit 1
  fi
  echo "Missing: $1 ($2). As root: apt-get install -y $1"
}

# apt_install PACKAGES installs packages of the system, if it can.
apt_install() {
  [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
  echo "Installing $* with apt-get …"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

compiler() {
  scripts/has-compiler.sh || apt_install gcc libc6-dev || missing "gcc libc6-dev" "the tests run without the race detector"
}

linter() {
  local stamp
  stamp=.tools/golangci-lint-$golangci_lint-$(go env GOVERSION)
  [[ -e $stamp && -x .tools/bin/golangci-lint ]] && return
  echo "Installing golangci-lint $golangci_lint into .tools/bin (once, one to three minutes) …"
  mkdir -p .tools/bin
  GOFLAGS='' CGO_ENABLED=0 GOBIN="$PWD/.tools/bin" \
    go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$golangci_lint"
  rm -f .tools/golangci-lint-*
  touch "$stamp"
}

judge() {
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    apt_install nodejs npm || { missing "nodejs npm" "the test with the JavaScript library is skipped"; return; }
  fi
  command -v python3 >/dev/null || apt_install python3 || missing python3 "the Python code of docs/receiving.md is not tried"
  cmp -s tools/package-lock.json .tools/package-lock.json && [[ -d .tools/node_modules ]] && return
  echo "Installing npm packages into .tools/node_modules …"
  mkdir -p .tools
  rm -f .tools/package-lock.json
  cp tools/package.json .tools/
  cp tools/package-lock.json .tools/package-lock.json
  if ! (cd .tools && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null); then
    rm -rf .tools/package-lock.json .tools/node_modules
    return 1
  fi
}

browser() {
  command -v chromium >/dev/null || apt_install chromium fonts-dejavu-core || missing chromium "the console is not tried in a browser"
}

# The tests start servers of their own: the packages shall make no cluster, and
# leave no pooler running.
postgres() {
  local config=/etc/postgresql-common/createcluster.conf wanted=()
  [[ -n ${TEST_POSTGRES_URL:-} ]] || scripts/has-postgres.sh || wanted+=(postgresql)
  command -v pgbouncer >/dev/null || wanted+=(pgbouncer)
  [[ ${#wanted[@]} != 0 ]] || return 0
  if apt_install postgresql-common; then
    grep -q '^create_main_cluster' "$config" || echo 'create_main_cluster = false' >>"$config"
    apt_install "${wanted[@]}" || true
    [[ ${wanted[*]} != *pgbouncer* ]] || service pgbouncer stop >/dev/null 2>&1 || true
  fi
  [[ -n ${TEST_POSTGRES_URL:-} ]] || scripts/has-postgres.sh || missing postgresql "the tests run on SQLite alone, unless TEST_POSTGRES_URL names a server"
  command -v pgbouncer >/dev/null || missing pgbouncer "Postgres is not tried through a pooler"
}

shells() {
  if ! command -v zsh >/dev/null || ! command -v fish >/dev/null; then
    apt_install zsh fish || echo "Missing: zsh, fish (completion is not tried in them). As root: apt-get install -y zsh fish"
  fi
}

[[ $# != 0 ]] || set -- compiler linter judge browser postgres shells
for tool; do
  "$tool"
done
