#!/bin/sh
# First start of the database container: a role for the service that is no superuser, its database, and pgvector,
# which only a superuser may add. PostgreSQL's image runs it from /docker-entrypoint-initdb.d on an empty volume.
set -eu
: "${POSTGRES_USER:=postgres}"
: "${BEDSIDE_DATABASE_PASSWORD_FILE:=/run/secrets/database_password}"
export BEDSIDE_DATABASE_PASSWORD_FILE
if [ ! -s "$BEDSIDE_DATABASE_PASSWORD_FILE" ]; then
  echo "$BEDSIDE_DATABASE_PASSWORD_FILE is missing or empty; run docker/make-secrets.sh on the host first" >&2
  exit 1
fi
psql --no-psqlrc -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set password `cat "$BEDSIDE_DATABASE_PASSWORD_FILE"`
CREATE ROLE bedside LOGIN PASSWORD :'password';
CREATE DATABASE bedside OWNER bedside;
REVOKE CONNECT ON DATABASE bedside FROM PUBLIC;
\connect bedside
CREATE EXTENSION vector;
SQL
