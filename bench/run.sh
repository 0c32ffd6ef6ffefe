#!/usr/bin/env bash
# Measures Pando beside the transport's limit and PocketBase, on this machine
# and in one run, and prints two Markdown tables. See README.md.
#   BENCH_ONLY     only these parts, comma-separated: get list embed create batch own flood page million import entities start size
#                  graphql grpc stream schema
#   BENCH_REPS     runs of each target (3)      BENCH_DUR   seconds of a run (3)     BENCH_CLIENTS   connections (32)
#   BENCH_SRV_CPU  the servers' processor (0)   BENCH_CLI_CPU   the generator's (1)
#   BENCH_FOREIGN  cores others may use before a run is repeated (0.15)              BENCH_TRIES     at most so often (3)
#   BENCH_STRICT   1: fail when a figure is short
#   BENCH_PANDO    a binary to measure instead of building one
#   BENCH_WORK     where everything is built and stored (.work beside this file)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
DATA=$WORK/data OUT=$WORK/out

parts get list embed create batch own flood page million import entities start size graphql grpc stream schema
tools go taskset curl

binary_size() {
  want size || return 0
  printf '{"binary_mib": %s}\n' "$(stat -c %s "$BIN/pando" | awk '{ printf "%.2f", $1 / 1048576 }')" >"$OUT/fact-binary.json"
}

# One port for each listener.
take_ports() { local p; mapfile -t p < <("$BIN/probe" ports 10); LIMIT=${p[0]} PANDO=${p[1]} OPS=${p[2]} PB=${p[3]} SMALL=${p[4]} SMALLOPS=${p[5]} LARGE=${p[6]} LARGEOPS=${p[7]} FREE=${p[8]} CONSTANT=${p[9]}; }
# pando and pocketbase: NAME PATH EXTRA -> a target
pando() { echo "{\"name\": \"$1\", \"addr\": \"127.0.0.1:$PANDO\", \"pid\": ${RUNNING[pando]}, \"path\": \"$2\", $3},"; }
pocketbase() { echo "{\"name\": \"$1\", \"addr\": \"127.0.0.1:$PB\", \"pid\": ${RUNNING[pb]}, \"path\": \"$2\", $3},"; }

requests() { # the targets of both
  local rest=/rest/v1 api=/api/collections key="\"Apikey\": \"$KEY\"" json='"Content-Type": "application/json"'
  local new='{\"title\": \"Task {n}: write the report\", \"done\": false, \"priority\": {rand}, ' rows="\"rows\": \"$DATA/rows-100000/tasks.tsv\"" pbrows="\"rows\": \"$DATA/pb-ids.tsv\""
  local list='priority=eq.{rand}&order=created.desc&limit=30' pblist='perPage=30&skipTotal=1&sort=-created&filter=(priority%3D{rand})'
  local post='"method": "POST"' returned='"Prefer": "return=representation"'
  if want get; then
    pando "pando get by id" "$rest/tasks?id=eq.{c0}" "$rows, \"headers\": {$key, \"Accept\": \"application/vnd.pgrst.object+json\"}, \"check\": \"{\\\"id\\\"\""
    pocketbase "pocketbase get by id" "$api/tasks/records/{c0}" "$pbrows, \"check\": \"\\\"title\\\"\""
  fi
  if want list; then
    pando "pando list 30" "$rest/tasks?$list" "\"headers\": {$key}, \"check\": \"[{\\\"id\\\"\""
    pocketbase "pocketbase list 30" "$api/tasks/records?$pblist" "\"check\": \"\\\"title\\\"\""
  fi
  if want embed; then
    pando "pando list 30 with to-one" "$rest/tasks?select=*,owner(*)&$list" "\"headers\": {$key}, \"check\": \"\\\"email\\\"\""
    pocketbase "pocketbase list 30 with to-one" "$api/tasks/records?$pblist&expand=owner" "\"check\": \"\\\"expand\\\"\""
  fi
  if want create; then
    pando "pando create one" "$rest/writes" "$rows, $post, \"headers\": {$key, $json, $returned}, \"body\": \"$new\\\"owner_id\\\": \\\"{c1}\\\"}\", \"expect\": 201, \"check\": \"\\\"id\\\"\""
    pocketbase "pocketbase create one" "$api/writes/records" "$pbrows, $post, \"headers\": {$json}, \"body\": \"$new\\\"owner\\\": \\\"{c1}\\\"}\", \"check\": \"\\\"id\\\"\""
  fi
  if want batch; then
    pando "pando create 1000" "$rest/writes" "$rows, $post, \"clients\": 2, \"unit\": 1000, \"headers\": {$key, $json, $returned}, \"body_count\": 1000, \"body_pre\": \"[\", \"body_item\": \"$new\\\"owner_id\\\": \\\"{c1}\\\"}\", \"body_post\": \"]\", \"expect\": 201, \"check\": \"\\\"id\\\"\""
    pocketbase "pocketbase create 1000" /api/batch "$pbrows, $post, \"clients\": 2, \"unit\": 1000, \"headers\": {$json}, \"body_count\": 1000, \"body_pre\": \"{\\\"requests\\\": [\", \"body_item\": \"{\\\"method\\\": \\\"POST\\\", \\\"url\\\": \\\"$api/writes/records\\\", \\\"body\\\": $new\\\"owner\\\": \\\"{c1}\\\"}}\", \"body_post\": \"]}\", \"check\": \"\\\"id\\\"\""
  fi
}

# own: rows with an owner, read and written with the owner's token under a row
# policy; beside the same list for the secret key, which no policy narrows.
owned() {
  local rest=/rest/v1 json='"Content-Type": "application/json"' rows="\"rows\": \"$DATA/rows/atasks.tsv\"" pbrows="\"rows\": \"$DATA/pb-auth.tsv\""
  local bearer="\"Apikey\": \"$PUBLIC\", \"Authorization\": \"Bearer {c1}\"" list='owner_id=eq.{c2}&order=created.desc&limit=30'
  pando "pando get by id, own" "$rest/atasks?id=eq.{c0}" "$rows, \"headers\": {$bearer, \"Accept\": \"application/vnd.pgrst.object+json\"}, \"check\": \"{\\\"id\\\"\""
  pocketbase "pocketbase get by id, own" "/api/collections/atasks/records/{c0}" "$pbrows, \"headers\": {\"Authorization\": \"{c1}\"}, \"check\": \"\\\"title\\\"\""
  pando "list under a policy" "$rest/atasks?$list" "$rows, \"headers\": {$bearer}, \"check\": \"[{\\\"id\\\"\""
  pando "list without" "$rest/atasks?$list" "$rows, \"headers\": {\"Apikey\": \"$KEY\"}, \"check\": \"[{\\\"id\\\"\""
  pando "pando create one, own" "$rest/awrites" "$rows, \"method\": \"POST\", \"headers\": {$bearer, $json, \"Prefer\": \"return=representation\"}, \"body\": \"{\\\"title\\\": \\\"Task {n}: write the report\\\", \\\"done\\\": false, \\\"priority\\\": {rand}}\", \"expect\": 201, \"check\": \"\\\"id\\\"\""
}

# flood: how long reads take while 200 clients sign in without a pause.
bench_flood() {
  local get="\"rows\": \"$DATA/rows-100000/tasks.tsv\", \"clients\": 4, \"headers\": {\"Apikey\": \"$KEY\"}, \"check\": \"[{\\\"id\\\"\""
  measure calm "$(pando "get in calm" "/rest/v1/tasks?id=eq.{c0}" "$get")"
  taskset -c "$CLI" "$BIN/probe" flood -url "http://127.0.0.1:$PANDO" -key "$PUBLIC" -clients 200 >"$OUT/flood.log" 2>&1 &
  RUNNING[flood]=$!
  sleep 3
  measure flood "$(pando "get in a flood" "/rest/v1/tasks?id=eq.{c0}" "$get")"
  "$BIN/probe" peak -pid "${RUNNING[pando]}" -out "$OUT/fact-flood.json"
  stop flood
}

bench_requests() {
  if want get list embed create batch own start; then
    say "PocketBase's rows"
    run "$BIN/pb" seed --dir "$DATA/pb" --rows 100000 --ids "$DATA/pb-ids.tsv" --tokens "$DATA/pb-auth.tsv" >"$OUT/pb-seed.log" 2>&1 || die "PocketBase: $(tail -3 "$OUT/pb-seed.log")"
  fi
  if want get list embed create batch own; then
    start pb "$BIN/pb" serve --dir "$DATA/pb" --http "127.0.0.1:$PB"
    await pb "http://127.0.0.1:$PB/api/health"
  fi
  start_limit
  start_pando pando app "$PANDO" "$OPS"
  if want own flood; then
    "$BIN/probe" owned -url "http://127.0.0.1:$PANDO" -key "$KEY" -dir "$DATA/rows" || die "the accounts could not be made"
    "$BIN/pando" -C "$DATA/app" import atasks "$DATA/rows/atasks.csv" >>"$OUT/app-prepare.log" 2>&1 || die "import: $(tail -3 "$OUT/app-prepare.log")"
  fi
  if want get list embed create batch; then measure requests "$(requests)"; fi
  if want own; then measure owned "$(owned)"; fi
  if want get list embed create batch own; then stop pb; fi
  if want flood; then bench_flood; fi
  if want page; then pages; fi
  stop pando limit
}

pages() { # page 10,000 of nine rows each lies at nine tenths of the table
  local first last which targets=''
  for which in "by key|limit=9" "on an index|order=priority,created&limit=9"; do
    first="/rest/v1/tasks?${which#*|}"
    last=$("$BIN/probe" walk -url "http://127.0.0.1:$PANDO$first" -key "$KEY" -pages 10000) || { say "the walk to page 10,000 ${which%|*} failed"; continue; }
    targets+=$(pando "page 1 ${which%|*}" "$first" "\"headers\": {\"Apikey\": \"$KEY\"}")
    targets+=$(pando "page 10000 ${which%|*}" "$last" "\"headers\": {\"Apikey\": \"$KEY\"}")
  done
  measure pages "$targets"
}

bench_start() {
  want start || return 0
  say "starts"
  start_times start app 5s
  run "$BIN/probe" ready -url "http://127.0.0.1:$PB/api/health" -reps "$REPS" -settle 5s -out "$OUT/fact-start-pb.json" -- \
    "$BIN/pb" serve --dir "$DATA/pb" --http "127.0.0.1:$PB" >"$OUT/start-pb.log" 2>&1 || die "PocketBase: $(tail -3 "$OUT/start-pb.log")"
}

start_times() { # start_times FACTS APP SETTLE [RESET]: the time from the start of the app to its readiness
  PANDO_SECRET_KEY=$KEY run "$BIN/probe" ready -url "http://127.0.0.1:$OPS/readyz" -reps $((REPS * 3)) -settle "$3" ${4:+-reset "$4"} -out "$OUT/fact-$1.json" -- \
    "$BIN/pando" -C "$DATA/$2" serve --listen "127.0.0.1:$PANDO" --ops "127.0.0.1:$OPS" >"$OUT/$1.log" 2>&1 || die "$1: $(tail -3 "$OUT/$1.log")"
}

bench_import() {
  want import || return 0
  say "imports"
  new_app template 0
  run "$BIN/probe" import -pando "$BIN/pando" -app "$DATA/template" -csv "$DATA/rows-100000/tasks.csv" -entity tasks -reps "$REPS" -out "$OUT/fact-import.json"
}

bench_million() {
  want million || return 0
  say "a million rows"
  local n targets=''
  for n in 10000 1000000; do make_rows $n; new_app "app-$n" $n; done
  start_limit
  start_pando small app-10000 "$SMALL" "$SMALLOPS"
  start_pando large app-1000000 "$LARGE" "$LARGEOPS"
  for n in "10000 $SMALL ${RUNNING[small]}" "1000000 $LARGE ${RUNNING[large]}"; do
    set -- $n
    targets+="{\"name\": \"get of $1\", \"addr\": \"127.0.0.1:$2\", \"pid\": $3, \"path\": \"/rest/v1/tasks?id=eq.{c0}\", \"rows\": \"$DATA/rows-$1/tasks.tsv\", \"headers\": {\"Apikey\": \"$KEY\", \"Accept\": \"application/vnd.pgrst.object+json\"}, \"check\": \"{\\\"id\\\"\"},"
  done
  measure million "$targets"
  stop small large limit
  start_times start-million app-1000000 5s
}

bench_entities() {
  want entities || return 0
  say "1,000 entities"
  "$BIN/probe" app -dir "$DATA/entities" -entities 1000
  start_times entities-first entities 0s "$DATA/entities/data"
  start_times entities-later entities 0s
}

# The doors of GraphQL and gRPC, on rows that have relations at two levels.
bench_doors() {
  want graphql grpc stream || return 0
  say "the doors' rows"
  new_app doors 100000
  import_notes doors
  start_limit
  start_pando pando doors "$PANDO" "$OPS"
  if want graphql; then measure graphql "$(questions doors)"; fi
  if want grpc; then
    local size
    size=$(printf '\n$%s' "$(head -1 "$DATA/rows-100000/tasks.tsv" | cut -f1)" |
      curl -fsS -o /dev/null -w '%{size_download}' -H "Apikey: $KEY" -H 'Content-Type: application/proto' --data-binary @- "http://127.0.0.1:$PANDO$GET")
    start constant "$BIN/constant" -listen "127.0.0.1:$CONSTANT" -size "$size"
    await constant "http://127.0.0.1:$CONSTANT/readyz"
    measure grpc "$(unary)"
    stop constant
  fi
  stop pando
  if want stream; then
    start_pando pando doors "$PANDO" "$OPS" # another one, whose memory nothing has touched
    streamed
    stop pando
  fi
  stop limit
}
doors() { pando "pando $1" "$2" "$3"; }

# unary: one by id through gRPC and through Connect over HTTP/1.1, beside a
# constant answer of the same size. A request is a text in field 1: a newline is
# its tag, $ the length of a UUID.
GET=/pando.app.tasks.v1.TasksService/GetTasks
unary() {
  local key="\"Apikey\": \"$KEY\"" body="\"rows\": \"$DATA/rows-100000/tasks.tsv\", \"body\": \"\\n\${c0}\""
  local constant="\"addr\": \"127.0.0.1:$CONSTANT\", \"pid\": ${RUNNING[constant]}, \"path\": \"/pando.bench.v1.ConstantService/Get\", $body, \"check\": \"xxx\""
  local grpc="\"protocol\": \"grpc\", \"headers\": {$key}" connect="\"method\": \"POST\", \"headers\": {$key, \"Content-Type\": \"application/proto\", \"Connect-Protocol-Version\": \"1\"}"
  pando "pando grpc get" "$GET" "$body, $grpc, \"check\": \"Task number\""
  echo "{\"name\": \"constant grpc get\", $constant, $grpc},"
  pando "pando connect get" "$GET" "$body, $connect, \"check\": \"Task number\""
  echo "{\"name\": \"constant connect get\", $constant, $connect},"
}

# schema: go test has these benchmarks, for a schema is made without a server.
bench_schema() {
  want schema || return 0
  say "schemas"
  (cd "$HERE/.." && run go test -run '^$' -bench '^Benchmark(Schema|Version)$' -benchtime 5x -count "$REPS" ./internal/api/graphql) >"$OUT/schema.log" 2>&1 || die "schemas: $(tail -3 "$OUT/schema.log")"
  "$BIN/probe" schema -out "$OUT/fact-schema.json" <"$OUT/schema.log"
}

rm -rf "$DATA" "$OUT"
mkdir -p "$DATA" "$OUT"
modules=(load limit constant probe)
if want get list embed create batch own start; then modules+=(pb); fi
build "${modules[@]}"
binary_size
take_ports
make_rows 100000
say "Pando's rows"
new_app app 100000
KEY=$("$BIN/pando" -C "$DATA/app" keys --json | sed -n 's/.*"secret": *"\([^"]*\)".*/\1/p')
PUBLIC=$("$BIN/pando" -C "$DATA/app" keys --json | sed -n 's/.*"publishable": *"\([^"]*\)".*/\1/p')
[ -n "$KEY" ] || die "pando keys --json gave no secret key"
bench_requests
bench_start
bench_import
bench_million
bench_entities
bench_doors
bench_schema
"$BIN/probe" report -out "$OUT" ${BENCH_STRICT:+-strict} | tee "$OUT/report.md"
