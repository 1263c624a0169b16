#!/usr/bin/env bash
# Resolves pyproject.toml into the three locks beside this file. Needs uv and the registry; run it after changing dependencies.
# Locks hold names and versions only, no address, so that each site's own registry serves them.
set -euo pipefail
cd "$(dirname "$0")/.."
links=${UV_FIND_LINKS:-$(python3 -m pip config get global.find-links 2>/dev/null || true)}
resolve() {
  local name=$1; shift
  uv pip compile pyproject.toml "$@" --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
    --no-emit-index-url --no-emit-find-links --no-header --no-annotate --upgrade | sed 's/+cpu$//' > "requirements/$name.lock.new"
  mv "requirements/$name.lock.new" "requirements/$name.lock"
}
cpu=()
if [ -n "$links" ]; then cpu=(--find-links "$links"); else cpu=(--torch-backend cpu); fi
resolve api
resolve cpu --extra engine-cpu --extra training --extra dev "${cpu[@]}"
resolve gpu --extra engine-gpu --extra training --extra dev
wc -l requirements/*.lock
