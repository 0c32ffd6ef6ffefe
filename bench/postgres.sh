#!/usr/bin/env bash
# Measures Pando on PostgreSQL beside the transport's limit, PostGraphile 5 and
# Directus on the same server and the same rows, in one run. See README.md.
#   BENCH_ONLY     only these parts, comma-separated: get list embed create own graphql stream
#   BENCH_PEERS    the peers to measure beside Pando (postgraphile,directus); empty: none
#   BENCH_PGUSER   who runs PostgreSQL where this script runs as root (postgres)
# The other settings are those of run.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
DATA=$WORK/data-postgres OUT=$WORK/out-postgres
PEERS=${BENCH_PEERS-postgraphile,directus}
NODE_VERSION=24 POSTGRAPHILE_VERSION=5.1.5 DIRECTUS_VERSION=12.4.0
JWT_SECRET=0123456789abcdef0123456789abcdef # of rows that hold nothing

PARTS=(get list embed create own graphql stream)
parts "${PARTS[@]}"
tools go taskset curl psql setpriv
peer() { case ",$PEERS," in *",$1,"*) return 0 ;; esac; return 1; }
[ -z "$PEERS" ] || tools node npm

# The server lies in a folder that its own user can enter, which this one's may
# not be. Its settings are PostgreSQL's own but for the memory and the distance
# of checkpoints; fsync and synchronous_commit are on.
as_owner() { if [ "$(id -u)" = 0 ]; then setpriv --reuid "${BENCH_PGUSER:-postgres}" --regid "${BENCH_PGUSER:-postgres}" --clear-groups -- "$@"; else "$@"; fi; }
PGDIR=$(mktemp -d /tmp/pando-bench-pg.XXXXXX)
trap 'finish; rm -rf "$PGDIR"' EXIT
start_postgres() {
  local bin i
  bin=$(dirname "$(readlink -f "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb | tail -1)")")
  [ "$(id -u)" != 0 ] || chown "${BENCH_PGUSER:-postgres}" "$PGDIR"
  (cd "$PGDIR" && as_owner "$bin/initdb" -D "$PGDIR/data" -U bench -A trust -E UTF8 --locale=C) >"$OUT/initdb.log" 2>&1 || die "initdb: $(tail -3 "$OUT/initdb.log")"
  SIGNAL[pg]=INT
  cd "$PGDIR"
  if [ "$(id -u)" = 0 ]; then set -- setpriv --reuid "${BENCH_PGUSER:-postgres}" --regid "${BENCH_PGUSER:-postgres}" --clear-groups --; else set --; fi
  start pg "$@" "$bin/postgres" -D "$PGDIR/data" -k "$PGDIR" -c listen_addresses=127.0.0.1 -c port="$PGPORT" \
    -c shared_buffers=512MB -c max_connections=300 -c max_wal_size=4GB -c checkpoint_timeout=30min -c log_min_messages=warning
  cd "$HERE"
  for ((i = 0; i < 100; i++)); do sql postgres -c 'SELECT 1' >/dev/null 2>&1 && break; sleep 0.1; done
  sql postgres -c 'CREATE DATABASE pando TEMPLATE template0' -c 'CREATE DATABASE peers TEMPLATE template0' >/dev/null || die "PostgreSQL: $(tail -3 "$OUT/pg.log")"
  export PANDO_STORE="postgres://bench@/pando?host=$PGDIR&port=$PGPORT&sslmode=disable"
}
sql() { local db=$1; shift; psql -X -q -v ON_ERROR_STOP=1 -h "$PGDIR" -p "$PGPORT" -U bench "$db" "$@"; }

# peer_rows: the rows of Pando's tables, with the same types and indexes.
peer_rows() {
  sql peers >"$OUT/peers.log" 2>&1 <<S || die "the peers' tables: $(tail -3 "$OUT/peers.log")"
CREATE TABLE users (id uuid PRIMARY KEY, name text NOT NULL, email text NOT NULL);
CREATE TABLE tasks (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), title text NOT NULL, done boolean NOT NULL DEFAULT false, priority bigint NOT NULL DEFAULT 0,
  owner_id uuid NOT NULL REFERENCES users ON DELETE CASCADE, created timestamptz NOT NULL DEFAULT now(), updated timestamptz NOT NULL DEFAULT now());
CREATE TABLE writes (LIKE tasks INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
CREATE TABLE notes (id uuid PRIMARY KEY, body text NOT NULL, task_id uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
  author_id uuid NOT NULL REFERENCES users ON DELETE CASCADE, created timestamptz NOT NULL DEFAULT now());
CREATE TABLE atasks (LIKE tasks INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
\copy users FROM PROGRAM 'cut -d, -f1-3 $DATA/rows/users.csv' WITH (FORMAT csv, HEADER)
\copy tasks ($(head -1 "$DATA/rows-100000/tasks.csv")) FROM '$DATA/rows-100000/tasks.csv' WITH (FORMAT csv, HEADER)
$(want graphql && echo "\\copy notes FROM '$DATA/rows-100000/notes.csv' WITH (FORMAT csv, HEADER)")
$(want own && echo "\\copy atasks ($(head -1 "$DATA/rows/atasks.csv")) FROM '$DATA/rows/atasks.csv' WITH (FORMAT csv, HEADER)")
ALTER TABLE writes ADD PRIMARY KEY (id), ADD FOREIGN KEY (owner_id) REFERENCES users ON DELETE CASCADE;
ALTER TABLE atasks ADD PRIMARY KEY (id);
CREATE INDEX ON tasks (priority, created, id); CREATE INDEX ON tasks (owner_id, id);
CREATE INDEX ON writes (priority, created, id); CREATE INDEX ON writes (owner_id, id);
CREATE INDEX ON notes (task_id, id); CREATE INDEX ON notes (author_id, id);
CREATE INDEX ON atasks (owner_id, created, id);
CREATE ROLE app_user NOLOGIN;
GRANT SELECT ON atasks TO app_user;
ALTER TABLE atasks ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON atasks FOR SELECT TO app_user USING (owner_id::text = current_setting('jwt.claims.sub', true));
VACUUM ANALYZE;
S
}

# The peers come from npm at fixed versions; node itself too, since they ask
# for a newer one than Debian's. Directus runs on the machine's: its native
# module was compiled for that.
package() { # package NAME VERSION
  local dir=$WORK/npm/$1
  [ "$(cat "$dir/.version" 2>/dev/null)" = "$2" ] && return
  say "npm install $1@$2"
  mkdir -p "$dir"
  (cd "$dir" && echo '{"private": true}' >package.json && npm install "$1@$2" --no-audit --no-fund >install.log 2>&1 && echo "$2" >.version) || die "npm: $(tail -3 "$dir/install.log")"
}
start_postgraphile() {
  package node $NODE_VERSION
  package postgraphile $POSTGRAPHILE_VERSION
  cp "$HERE/peers/postgraphile.config.mjs" "$WORK/npm/postgraphile/graphile.config.mjs"
  cd "$WORK/npm/postgraphile"
  BENCH_PG_TCP="postgres://bench@127.0.0.1:$PGPORT/peers" BENCH_JWT_SECRET=$JWT_SECRET NODE_ENV=production GRAPHILE_ENV=production PORT=$GRAPHILE \
    start postgraphile "$WORK/npm/node/node_modules/node/bin/node" node_modules/postgraphile/dist/cli-run.js
  cd "$HERE"
  await postgraphile "http://127.0.0.1:$GRAPHILE/graphql" --any
}
start_directus() {
  package directus $DIRECTUS_VERSION
  cd "$WORK/npm/directus"
  local -x NODE_ENV=production DB_CLIENT=pg DB_HOST=127.0.0.1 DB_PORT=$PGPORT DB_USER=bench DB_PASSWORD=x DB_DATABASE=peers HOST=127.0.0.1 PORT=$DIRECTUS \
    PUBLIC_URL=http://127.0.0.1:$DIRECTUS SECRET=$JWT_SECRET KEY=bench TELEMETRY=false CACHE_ENABLED=false RATE_LIMITER_ENABLED=false PRESSURE_LIMITER_ENABLED=false \
    LOG_LEVEL=error ADMIN_EMAIL=admin@example.com ADMIN_PASSWORD='admin password 1'
  node node_modules/directus/cli.js bootstrap >"$OUT/directus-bootstrap.log" 2>&1 || die "Directus: $(tail -3 "$OUT/directus-bootstrap.log")"
  start directus node node_modules/directus/cli.js start
  cd "$HERE"
  await directus "http://127.0.0.1:$DIRECTUS/server/ping"
  node "$HERE/peers/directus-setup.mjs" "http://127.0.0.1:$DIRECTUS" || die "Directus could not be set up"
}

# target SERVER NAME PATH EXTRA: one request of a server
target() {
  local port
  case $1 in pando) port=$PANDO ;; postgraphile) port=$GRAPHILE ;; directus) port=$DIRECTUS ;; esac
  [ -n "${RUNNING[$1]:-}" ] || return 0
  echo "{\"name\": \"$1 $2\", \"addr\": \"127.0.0.1:$port\", \"pid\": ${RUNNING[$1]}, \"tree\": ${RUNNING[pg]}, \"path\": \"$3\", $4},"
}
graphql() { # graphql NAME CHECK HEADERS ROWS QUERY VARIABLES
  target postgraphile "$1" /graphql "\"method\": \"POST\", \"headers\": {\"Content-Type\": \"application/json\"$3}, $4 \"body\": \"{\\\"query\\\":\\\"$5\\\",\\\"variables\\\":{$6}}\", \"check\": \"$2\""
}
requests() {
  local key="\"Apikey\": \"$KEY\"" json='"Content-Type": "application/json"' rows="\"rows\": \"$DATA/rows-100000/tasks.tsv\"," fields='rowId title done priority ownerId created updated'
  local list='priority=eq.{rand}&order=created.desc&limit=30' dlist='/items/tasks?limit=30&sort=-created&filter%5Bpriority%5D%5B_eq%5D={rand}'
  local new='{\"title\":\"Task {n}: write the report\",\"done\":false,\"priority\":{rand},\"owner_id\":\"{c1}\"}'
  if want get; then
    target pando "get by id" "/rest/v1/tasks?id=eq.{c0}" "$rows \"headers\": {$key, \"Accept\": \"application/vnd.pgrst.object+json\"}, \"check\": \"{\\\"id\\\"\""
    graphql "get by id" '\"title' "" "$rows" "query(\$i:UUID!){taskByRowId(rowId:\$i){$fields}}" '\"i\":\"{c0}\"'
    target directus "get by id" "/items/tasks/{c0}" "$rows \"check\": \"\\\"title\""
  fi
  if want list; then
    target pando "list 30" "/rest/v1/tasks?$list" "\"headers\": {$key}, \"check\": \"[{\\\"id\\\"\""
    graphql "list 30" '\"title' "" "" "query(\$p:BigInt!){allTasks(first:30,condition:{priority:\$p},orderBy:CREATED_DESC){nodes{$fields}}}" '\"p\":\"{rand}\"'
    target directus "list 30" "$dlist" "\"check\": \"\\\"title\""
  fi
  if want embed; then
    target pando "list 30 with to-one" "/rest/v1/tasks?select=*,owner(*)&$list" "\"headers\": {$key}, \"check\": \"\\\"email\\\"\""
    graphql "list 30 with to-one" '\"email' "" "" "query(\$p:BigInt!){allTasks(first:30,condition:{priority:\$p},orderBy:CREATED_DESC){nodes{$fields userByOwnerId{rowId name email}}}}" '\"p\":\"{rand}\"'
    target directus "list 30 with to-one" "$dlist&fields=*,owner_id.*" "\"check\": \"\\\"email\""
  fi
  if want create; then
    target pando "create one" /rest/v1/writes "$rows \"method\": \"POST\", \"headers\": {$key, $json, \"Prefer\": \"return=representation\"}, \"body\": \"$new\", \"expect\": 201, \"check\": \"\\\"id\\\"\""
    graphql "create one" '\"title' "" "$rows" "mutation(\$t:WriteInput!){createWrite(input:{write:\$t}){write{$fields}}}" '\"t\":{\"title\":\"Task {n}: write the report\",\"done\":false,\"priority\":\"{rand}\",\"ownerId\":\"{c1}\"}'
    target directus "create one" /items/writes "$rows \"method\": \"POST\", \"headers\": {$json}, \"body\": \"$new\", \"check\": \"\\\"title\""
  fi
  if want own; then
    target pando "get by id, own" "/rest/v1/atasks?id=eq.{c0}" "\"rows\": \"$DATA/rows/atasks.tsv\", \"headers\": {\"Apikey\": \"$PUBLIC\", \"Authorization\": \"Bearer {c1}\", \"Accept\": \"application/vnd.pgrst.object+json\"}, \"check\": \"{\\\"id\\\"\""
    graphql "get by id, own" '\"title' ', "Authorization": "Bearer {c1}"' "\"rows\": \"$DATA/rows/graphile.tsv\"," "query(\$i:UUID!){ataskByRowId(rowId:\$i){$fields}}" '\"i\":\"{c0}\"'
  fi
  if want graphql; then
    questions target pando
    local names='"names": {"rowId": "id", "ownerId": "owner_id", "userByOwnerId": "owner", "userByAuthorId": "author", "notesByTaskId": "notes"},'
    graphql "graphql get" '\"email' "" "$rows \"same\": \"get\", $names" "query(\$i:UUID!){taskByRowId(rowId:\$i){$fields userByOwnerId{rowId name email}}}" '\"i\":\"{c0}\"'
    graphql "graphql list" '\"body' "" "\"same\": \"list\", $names" "query(\$p:BigInt!){allTasks(first:30,condition:{priority:\$p},orderBy:CREATED_DESC){nodes{$fields notesByTaskId{nodes{rowId body userByAuthorId{rowId name}}}}}}" '\"p\":\"{rand}\"'
  fi
}

rm -rf "$DATA" "$OUT"
mkdir -p "$DATA" "$OUT"
build load limit probe
mapfile -t ports < <("$BIN/probe" ports 6)
LIMIT=${ports[0]} PANDO=${ports[1]} OPS=${ports[2]} PGPORT=${ports[3]} GRAPHILE=${ports[4]} DIRECTUS=${ports[5]}
start_postgres
make_rows 100000
say "Pando's rows"
new_app app 100000
KEY=$("$BIN/pando" -C "$DATA/app" keys --json | sed -n 's/.*"secret": *"\([^"]*\)".*/\1/p')
PUBLIC=$("$BIN/pando" -C "$DATA/app" keys --json | sed -n 's/.*"publishable": *"\([^"]*\)".*/\1/p')
start_limit
start_pando pando app "$PANDO" "$OPS"
if want graphql; then import_notes app; fi
if want own; then
  "$BIN/probe" owned -url "http://127.0.0.1:$PANDO" -key "$KEY" -dir "$DATA/rows" || die "the accounts could not be made"
  "$BIN/pando" -C "$DATA/app" import atasks "$DATA/rows/atasks.csv" >>"$OUT/app-prepare.log" 2>&1 || die "import: $(tail -3 "$OUT/app-prepare.log")"
fi
sql pando -c 'VACUUM ANALYZE'
if [ -n "$PEERS" ]; then
  say "the peers' rows"
  peer_rows
  if want own; then
    cut -f1,3 "$DATA/rows/atasks.tsv" >"$DATA/rows/graphile-ids.tsv"
    BENCH_JWT_SECRET=$JWT_SECRET node "$HERE/peers/tokens.mjs" "$DATA/rows/graphile-ids.tsv" "$DATA/rows/graphile.tsv"
  fi
  if peer postgraphile; then start_postgraphile; fi
  if peer directus; then start_directus; fi
fi
measure requests "$(requests)"
if want stream; then
  stop pando
  start_pando pando app "$PANDO" "$OPS" # another one, whose memory nothing has touched
  streamed "${RUNNING[pg]}"
fi
"$BIN/probe" report -postgres -out "$OUT" ${BENCH_STRICT:+-strict} | tee "$OUT/report.md"
