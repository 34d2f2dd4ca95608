#!/usr/bin/env bash
# Succeeds where a C compiler and the headers that cgo needs are installed.
set -euo pipefail
"$(go env CC)" -E -x c - <<<'#include <stdlib.h>' >/dev/null 2>&1
