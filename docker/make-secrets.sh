#!/bin/sh
# Makes the secret files of docker-compose.yml in secrets/ (or the folder given). Files that exist are kept.
#   docker/make-secrets.sh [FOLDER]
# The folder is closed to others (0700); the files are readable (0444), because the containers' users, which differ
# from yours, read them through their mounts.
set -eu
folder=${1:-"$(dirname "$0")/../secrets"}
umask 077
mkdir -p "$folder"
chmod 0700 "$folder"
hex() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
keep() { # FILE CONTENT
  if [ -e "$folder/$1" ]; then echo "kept    $folder/$1"; return; fi
  printf '%s\n' "$2" > "$folder/$1.new"
  chmod 0444 "$folder/$1.new"
  mv "$folder/$1.new" "$folder/$1"
  echo "written $folder/$1"
}
keep text_key "$(hex 32)"
keep postgres_password "$(hex 24)"
keep database_password "$(hex 24)"
keep database_url "postgresql+psycopg://bedside:$(cat "$folder/database_password")@database:5432/bedside"
echo "Keep a copy of $folder/text_key apart from the database: without it no stored conversation can be read."
