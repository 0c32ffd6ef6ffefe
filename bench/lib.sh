# What the benchmarks share; it is sourced, and only defines things. Its
# settings are at the head of run.sh.
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WORK=${BENCH_WORK:-$HERE/.work}
REPS=${BENCH_REPS:-3} DUR=${BENCH_DUR:-3} CLIENTS=${BENCH_CLIENTS:-32}
SRV=${BENCH_SRV_CPU:-0} CLI=${BENCH_CLI_CPU:-1}
BIN=$WORK/bin

say() { printf '%s\n' "$*" >&2; }
die() { say "bench: $*"; exit 1; }
want() { local part; [ -z "${BENCH_ONLY:-}" ] && return; for part in "$@"; do case ",$BENCH_ONLY," in *",$part,"*) return 0 ;; esac; done; return 1; }
parts() { # parts NAME...: refuses a BENCH_ONLY that names anything else
  local part only=${BENCH_ONLY:-}
  for part in ${only//,/ }; do case " $* " in *" $part "*) ;; *) die "BENCH_ONLY: no part $part; there are $*" ;; esac; done
}
tools() { # tools NAME...: what has to be there
  local tool
  for tool in "$@"; do command -v "$tool" >/dev/null || die "$tool is needed"; done
  taskset -c "$SRV" true && taskset -c "$CLI" true || die "the processors $SRV and $CLI are needed; BENCH_SRV_CPU and BENCH_CLI_CPU choose others"
}

# Everything that runs beside this script, by pid, so that it can be ended.
declare -A RUNNING=()
declare -A SIGNAL=() # what ends one of them, where it is not TERM
stop() { # stop NAME...: asks, waits, and insists after 10 s
  local name pid i
  for name in "$@"; do kill "-${SIGNAL[$name]:-TERM}" "${RUNNING[$name]}" 2>/dev/null || true; done
  for name in "$@"; do
    pid=${RUNNING[$name]}
    for ((i = 0; i < 100; i++)); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    unset "RUNNING[$name]"
  done
}
finish() { trap - EXIT INT TERM HUP; [ ${#RUNNING[@]} -eq 0 ] || stop "${!RUNNING[@]}"; }
trap finish EXIT
trap 'finish; exit 130' INT TERM HUP

start() { # start NAME COMMAND...: a pinned server in the background
  local name=$1; shift
  GOMAXPROCS=1 taskset -c "$SRV" "$@" >"$OUT/$name.log" 2>&1 &
  RUNNING[$name]=$!
}
run() { # run COMMAND...: in the foreground, but a signal ends it at once
  local status=0
  "$@" &
  RUNNING[fg]=$!
  wait "${RUNNING[fg]}" || status=$?
  unset 'RUNNING[fg]'
  return $status
}
await() { # await NAME URL [FLAG]: until it answers with a success; with --any, until it answers
  local i flag=-f
  [ "${3:-}" != --any ] || flag=-s
  for ((i = 0; i < 600; i++)); do
    curl $flag -sS -o /dev/null "$2" 2>/dev/null && return
    kill -0 "${RUNNING[$1]}" 2>/dev/null || break
    sleep 0.1
  done
  tail -5 "$OUT/$1.log" >&2
  die "$1 did not become ready"
}

build() { # build MODULE...: those below bench/, and pando
  say "building"
  mkdir -p "$BIN"
  local m
  for m in "$@"; do (cd "$HERE/$m" && CGO_ENABLED=0 go build -trimpath -o "$BIN/$m" .); done
  if [ -n "${BENCH_PANDO:-}" ]; then
    install -m 755 "$BENCH_PANDO" "$BIN/pando"
  else
    (cd "$HERE/.." && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$BIN/pando" ./cmd/pando)
  fi
}

new_app() { # new_app NAME ROWS: a store with the users, and ROWS tasks from $DATA/rows-ROWS (0: none)
  local dir=$DATA/$1
  mkdir -p "$dir"
  cp -a "$HERE/app/." "$dir/"
  "$BIN/pando" -C "$dir" migrate apply >"$OUT/$1-prepare.log" 2>&1 || die "migrate: $(tail -3 "$OUT/$1-prepare.log")"
  "$BIN/pando" -C "$dir" import users "$DATA/rows/users.csv" >>"$OUT/$1-prepare.log" 2>&1 || die "import: $(tail -3 "$OUT/$1-prepare.log")"
  [ "$2" = 0 ] && return
  "$BIN/pando" -C "$dir" import tasks "$DATA/rows-$2/tasks.csv" >>"$OUT/$1-prepare.log" 2>&1 || die "import: $(tail -3 "$OUT/$1-prepare.log")"
}
make_rows() { # make_rows N: the same users each time
  [ -d "$DATA/rows-$1" ] || "$BIN/probe" rows -dir "$DATA/rows-$1" -rows "$1"
  [ -e "$DATA/rows" ] || ln -s "rows-$1" "$DATA/rows"
}

import_notes() { # import_notes NAME: those of make_rows, into an app that has their tasks
  "$BIN/pando" -C "$DATA/$1" import notes "$DATA/rows-100000/notes.csv" >>"$OUT/$1-prepare.log" 2>&1 || die "import: $(tail -3 "$OUT/$1-prepare.log")"
}

start_pando() { # start_pando NAME APP PORT OPSPORT
  PANDO_SECRET_KEY=$KEY start "$1" "$BIN/pando" -C "$DATA/$2" serve --listen "127.0.0.1:$3" --ops "127.0.0.1:$4"
  await "$1" "http://127.0.0.1:$4/readyz"
}
start_limit() {
  start limit "$BIN/limit" -listen "127.0.0.1:$LIMIT"
  await limit "http://127.0.0.1:$LIMIT/constant"
}

measure() { # measure NAME TARGETS: runs the targets (JSON objects, each with a comma behind it)
  [ -n "$2" ] || return 0
  cat >"$OUT/plan-$1.json" <<J
{"clients": $CLIENTS, "duration": $DUR, "samples": "$OUT/samples",
 "baseline": {"name": "limit", "addr": "127.0.0.1:$LIMIT", "path": "/constant", "check": "Hello", "pid": ${RUNNING[limit]}},
 "targets": [${2%,}]}
J
  run taskset -c "$CLI" "$BIN/load" -plan "$OUT/plan-$1.json" -reps "$REPS" -foreign "${BENCH_FOREIGN:-0.15}" -tries "${BENCH_TRIES:-3}" -out "$OUT/load-$1.json" >&2
}

document() { # document QUERY VARIABLES: the members of a target that POST a document of GraphQL
  echo "\"method\": \"POST\", \"body\": \"{\\\"query\\\":\\\"$1\\\",\\\"variables\\\":{$2}}\""
}
# questions TARGET...: one row with its to-one relation, and 30 rows with their
# notes and the notes' authors, of REST and of GraphQL; TARGET NAME PATH EXTRA
# prints a target of Pando. Their answers are compared before they are measured.
questions() {
  local key="\"Apikey\": \"$KEY\"" rows="\"rows\": \"$DATA/rows-100000/tasks.tsv\"" fields='id title done priority owner_id created updated'
  local get="\"same\": \"get\", $rows, \"check\": \"\\\"email\\\"\"" list="\"same\": \"list\", \"check\": \"\\\"body\\\"\"" graphql="\"headers\": {$key, \"Content-Type\": \"application/json\"}"
  "$@" "rest get" "/rest/v1/tasks?select=*,owner(*)&id=eq.{c0}" "$get, \"headers\": {$key, \"Accept\": \"application/vnd.pgrst.object+json\"}"
  "$@" "graphql get" /graphql/v1 "$get, $graphql, $(document "query(\$i:UUID!){tasks_tasksByKey(id:\$i){$fields owner{id name email}}}" '\"i\":\"{c0}\"')"
  "$@" "rest list" "/rest/v1/tasks?select=*,notes(id,body,author(id,name))&priority=eq.{rand}&order=created.desc&limit=30" "$list, \"headers\": {$key}"
  "$@" "graphql list" /graphql/v1 "$list, $graphql, $(document "query(\$p:Int64!){tasks_tasks(first:30,where:{priority:{eq:\$p}},orderBy:{created:DESC}){nodes{$fields notes{nodes{id body author{id name}}}}}}" '\"p\":\"{rand}\"')"
}
streamed() { # streamed [TREE]: all tasks of the node through gRPC and REST; TREE is its database's process
  run taskset -c "$CLI" "$BIN/probe" stream -url "http://127.0.0.1:$PANDO" -key "$KEY" -pid "${RUNNING[pando]}" -tree "${1:-0}" \
    -method /pando.app.tasks.v1.TasksService/StreamTasks -path /rest/v1/tasks -rows 100000 \
    -reps "$REPS" -foreign "${BENCH_FOREIGN:-0.15}" -tries "${BENCH_TRIES:-3}" -out "$OUT/fact-stream.json" || die "the streams failed"
}
