#!/usr/bin/env bash
# Writes the golden files anew: runs the tests of each package whose tests
# define the flag -update, or import a package that does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

module=$(go list -m)
definers=$( (grep -rlE --include='*.go' 'flag\.Bool(Var)?\(.*"update"' . || true) |
  xargs -r -d '\n' dirname | sort -u | sed "s|^\.|$module|" | tr '\n' ' ')
if [[ -z $definers ]]; then
  echo "No test defines the flag -update."
  exit
fi
# One line for each test program: its package, then all that it is built of.
mapfile -t packages < <(
  go list -test -f '{{.ImportPath}} {{join .Deps " "}}' ./... |
    awk -v definers="$definers" '
      BEGIN { split(definers, list); for (i in list) defines[list[i]] = 1 }
      sub(/\.test$/, "", $1) { for (i = 1; i <= NF; i++) if ($i in defines) { print $1; next } }'
)
go test "${packages[@]}" -update
