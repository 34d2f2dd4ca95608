#!/usr/bin/env bash
# Writes the golden files anew: runs the tests of each package whose tests
# define the flag -update.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t packages < <(
  (grep -rlE --include='*_test.go' 'flag\.Bool(Var)?\(.*"update"' . || true) | xargs -r -d '\n' dirname | sort -u
)
if [[ ${#packages[@]} == 0 ]]; then
  echo "No test defines the flag -update."
  exit
fi
go test "${packages[@]}" -update
