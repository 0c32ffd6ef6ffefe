#!/usr/bin/env bash
# Measures what business logic costs, on SQLite and in one run: creates whose rows
# are events beside creates that are not, and operations and functions in TypeScript.
# See README.md. The settings are those of run.sh but for BENCH_ONLY.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
DATA=$WORK/data-logic OUT=$WORK/out-logic
tools go taskset curl
rm -rf "$DATA" "$OUT"
mkdir -p "$DATA" "$OUT"
build limit load probe
mapfile -t p < <("$BIN/probe" ports 3)
LIMIT=${p[0]} PANDO=${p[1]} OPS=${p[2]}
cp -a "$HERE/logic" "$DATA/app"
KEY=$("$BIN/pando" -C "$DATA/app" keys secret)
start_limit
PANDO_SECRET_KEY=$KEY start pando "$BIN/pando" -C "$DATA/app" serve --listen "127.0.0.1:$PANDO" --ops "127.0.0.1:$OPS"
await pando "http://127.0.0.1:$OPS/readyz"
target() { echo "{\"name\": \"$1\", \"addr\": \"127.0.0.1:$PANDO\", \"pid\": ${RUNNING[pando]}, \"path\": \"$2\", \"headers\": {\"Apikey\": \"$KEY\", \"Content-Type\": \"application/json\"}, $3},"; }
post="\"method\": \"POST\", \"body\": \"{\\\"title\\\": \\\"Task {n}: write the report\\\"}\""
measure logic "$(
  target "create" /rest/v1/plain "$post, \"expect\": 201"
  target "create, an event" /rest/v1/told "$post, \"expect\": 201"
  target "operation, nothing" /rest/v1/rpc/nothing "\"method\": \"POST\", \"body\": \"{}\", \"check\": \"ok\""
  target "operation, a read and a write" /rest/v1/rpc/make "$post, \"check\": \"id\""
  target "operation, a write and a job" /rest/v1/rpc/enqueue "$post, \"expect\": 204"
  target "function" /functions/v1/hello "\"method\": \"GET\", \"check\": \"hello\""
)"
stop pando limit
