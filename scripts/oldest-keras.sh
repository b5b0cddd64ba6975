#!/usr/bin/env bash
# Runs the tests, as scripts/test does, on the oldest Keras that pyproject.toml allows, in .venv-oldest; arguments go to
# pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
oldest=$(sed -nE 's/^dependencies = .*"keras>=([0-9.]+)".*/\1/p' pyproject.toml)
if [[ -z $oldest ]]; then
    echo "pyproject.toml names no oldest Keras in \`dependencies\`: expected \"keras>=VERSION\"" >&2
    exit 1
fi
constraints=$(mktemp)
trap 'rm -f "$constraints"' EXIT
sed "s/^keras==.*/keras==$oldest/" constraints.txt >"$constraints"
TEST_VENV=.venv-oldest TEST_CONSTRAINTS=$constraints scripts/test "$@"
