#!/usr/bin/env bash
# Succeeds where the tests can have a Postgres server of their own: where one of
# version 15 or newer is installed. internal/pgcluster looks in the same places.
set -euo pipefail
shopt -s nullglob
for folder in "$(dirname "$(command -v postgres || echo /)")" /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* \
  /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin; do
  [[ -x $folder/postgres && -x $folder/initdb ]] || continue
  version=$("$folder/postgres" --version | sed -E 's/.*\(PostgreSQL\) ([0-9]+).*/\1/')
  [[ $version =~ ^[0-9]+$ && $version -ge 15 ]] && exit
done
exit 1
