#!/bin/sh
# The `bedside` command inside the container. The database's address comes from the file that
# BEDSIDE_DATABASE_URL_FILE names, so that its password is in no environment that `docker inspect` shows.
set -eu
if [ -z "${BEDSIDE_DATABASE_URL:-}" ] && [ -n "${BEDSIDE_DATABASE_URL_FILE:-}" ]; then
  if [ ! -r "$BEDSIDE_DATABASE_URL_FILE" ]; then
    echo "bedside: $BEDSIDE_DATABASE_URL_FILE cannot be read; run docker/make-secrets.sh on the host first" >&2
    exit 1
  fi
  BEDSIDE_DATABASE_URL=$(cat "$BEDSIDE_DATABASE_URL_FILE")
  export BEDSIDE_DATABASE_URL
fi
unset BEDSIDE_DATABASE_URL_FILE
exec /opt/bedside/bin/bedside "$@"
