#!/usr/bin/env bash
# Measures the job queue beside River, on a PostgreSQL of its own and on SQLite, in
# one run. It prints figures and ratios, and stops what it started.
#   BENCH_PGUSER   who runs PostgreSQL where this script runs as root (postgres)
#   BENCH_DIR      where the databases lie (a new folder in /tmp)
# Arguments go to bench/queue: -reps 5, -only work, -jobs 200000, -river=false.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
owner=${BENCH_PGUSER:-postgres}
dir=$(mktemp -d "${BENCH_DIR:-/tmp}/pando-bench-queue.XXXXXX")
server=
finish() {
  trap - EXIT INT TERM HUP
  if [ -n "$server" ]; then kill -INT "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  rm -rf "$dir"
}
trap finish EXIT
trap 'finish; exit 130' INT TERM HUP
as_owner() { if [ "$(id -u)" = 0 ]; then setpriv --reuid "$owner" --regid "$owner" --clear-groups -- "$@"; else "$@"; fi; }

(cd "$HERE/queue" && CGO_ENABLED=0 go build -trimpath -o "$dir/bench" .)
bin=$(dirname "$(readlink -f "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb | tail -1)")")
mkdir "$dir/pg" "$dir/sqlite"
chmod 755 "$dir"
[ "$(id -u)" != 0 ] || chown "$owner" "$dir/pg"
cd "$dir/pg"
as_owner "$bin/initdb" -D "$dir/pg/data" -U bench -A trust -E UTF8 --locale=C >"$dir/initdb.log" 2>&1 || { tail -3 "$dir/initdb.log" >&2; exit 1; }
# It listens on a socket in the folder alone, so no port has to be free. Its
# settings are PostgreSQL's own but for the memory and the distance of
# checkpoints; fsync and synchronous_commit are on.
command=("$bin/postgres")
[ "$(id -u)" != 0 ] || command=(setpriv --reuid "$owner" --regid "$owner" --clear-groups -- "${command[@]}")
"${command[@]}" -D "$dir/pg/data" -k "$dir/pg" -c listen_addresses= -c shared_buffers=512MB -c max_connections=100 -c max_wal_size=4GB -c checkpoint_timeout=30min \
  >"$dir/pg.log" 2>&1 &
server=$!
for ((i = 0; i < 100; i++)); do "$bin/pg_isready" -q -h "$dir/pg" && break; sleep 0.1; done
cd "$HERE"
"$dir/bench" -postgres "postgres://bench@/postgres?host=$dir/pg&sslmode=disable" -dir "$dir/sqlite" "$@"
