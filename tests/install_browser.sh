#!/usr/bin/env bash
# Puts a Chromium where the browser tests find it, if that may be done; otherwise says loudly that they will be skipped.
set -uo pipefail
for name in chromium chromium-browser google-chrome; do command -v "$name" >/dev/null 2>&1 && exit 0; done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "[setup] installing Chromium for the browser tests" >&2
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core; } >/tmp/bedside-chromium.log 2>&1 && exit 0
fi
echo "[setup] *** NO CHROMIUM: the browser tests will be SKIPPED. Install it (Debian: apt install chromium) to run them. ***" >&2
exit 0
