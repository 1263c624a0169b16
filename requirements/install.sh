#!/usr/bin/env bash
# Makes .venv with the pinned dependencies and Bedside itself. Does nothing when .venv is already what the lock says.
#   requirements/install.sh [api|cpu|gpu]     default: gpu where nvidia-smi lists one, else cpu
# PYTHON names another Python 3.11; VENV another folder. pip's own configuration (index, find-links, proxy) is respected.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1m[setup]\033[0m %s\n' "$*" >&2; }
die() { printf '[setup] %s\n' "$*" >&2; exit 1; }

venv=${VENV:-.venv}
profile=${1:-}
if [ -z "$profile" ]; then
  if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU; then profile=gpu; else profile=cpu; fi
fi
lock=requirements/$profile.lock
[ -f "$lock" ] || die "there is no $lock; name one of: api, cpu, gpu"
[ "$(uname -s)" = Linux ] || die "Bedside's engine needs Linux. On Windows and macOS use the container files: docker compose --profile cpu up"

stamp="$profile $( (cat "$lock" pyproject.toml; pwd) | sha256sum | cut -c1-24)"
if [ -x "$venv/bin/bedside" ] && [ "$(cat "$venv/.bedside" 2>/dev/null || true)" = "$stamp" ]; then exit 0; fi

python=
for candidate in "${PYTHON:-}" python3.11 python3 python; do
  [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
  if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then python=$candidate; break; fi
done
[ -n "$python" ] || die "Python 3.11 was not found. Install it (Debian 12: apt install python3 python3-venv) or set PYTHON=/path/to/python3.11"

if [ ! -x "$venv/bin/pip" ]; then
  say "making $venv with $("$python" --version)"
  rm -rf "$venv"
  "$python" -m venv "$venv" 2>/dev/null || { rm -rf "$venv"; "$python" -m virtualenv -q "$venv" 2>/dev/null; } \
    || die "$python cannot make a virtual environment. Debian and Ubuntu: apt install python3-venv; elsewhere: $python -m pip install --user virtualenv"
fi
pip() { PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip "$@" 2> >(grep -v 'is ignored: it is neither a file nor a directory' >&2); }

if [ "$profile" = cpu ] && ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
  wanted=$(grep -E '^torch==' "$lock")
  say "installing $wanted, the CPU build"
  if [ "$(uname -m)" = x86_64 ]; then
    # The registry's plain build brings gigabytes of CUDA; take the CPU build from where pip is told to look, else from PyTorch's index.
    pip install -q --no-deps "$wanted+cpu" 2>/dev/null || { pip install -q uv && "$venv/bin/uv" pip install -q --python "$venv/bin/python" --no-deps --torch-backend cpu "$wanted"; } \
      || die "no CPU build of $wanted could be had; put its wheel into a folder and set PIP_FIND_LINKS to it"
  else
    pip install -q --no-deps "$wanted"
  fi
fi
say "installing $(wc -l < "$lock") pinned packages from $lock (two to four minutes the first time)"
pip install --no-deps --progress-bar off -r "$lock" | awk '/^(Collecting|Requirement already)/ {n++; if (n % 25 == 0) {printf "[setup]   %d packages\n", n; fflush()}} /^(Installing|Successfully|ERROR)/ {print "[setup]   " substr($0, 1, 60) " ..."; fflush()}' >&2
if [ "$profile" = cpu ] && ! "$venv/bin/python" -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' 2>/dev/null; then
  # vLLM's CPU build links against it; everything but the engine works without.
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && apt-get install -y -q libnuma1 >/dev/null 2>&1; then
    say "installed libnuma1 for the engine"
  else
    say "WARNING: libnuma.so.1 is missing, the engine will not start. Install it (Debian, Ubuntu: apt install libnuma1)"
  fi
fi
say "installing bedside"
"$venv/bin/python" -c 'import setuptools' 2>/dev/null || pip install -q "setuptools==78.1.1"
pip install -q --no-deps --no-build-isolation -e .
echo "$stamp" > "$venv/.bedside"
say "ready"
