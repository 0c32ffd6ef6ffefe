#!/usr/bin/env bash
# Runs every test of the project; `make test` calls it. What the tests need is
# installed first. What cannot be installed is named with the command that
# does it, and the tests that need it are skipped; under CI=true that fails.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=() skipped=()
say() { printf '\n== %s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }

# package DEBIAN-NAMES WHAT-IS-SKIPPED: installs, or says how to.
package() {
  if [ "$(id -u)" = 0 ] && have apt-get; then
    say "installing $1"
    if { apt-get install -y -qq --no-install-recommends $1 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends $1; }; } >/dev/null 2>&1; then
      return 0
    fi
  fi
  echo "missing: $1. Install it with: sudo apt-get install -y $1"
  skipped+=("$2 (sudo apt-get install -y $1)")
  return 1
}

# step NAME COMMAND...: runs a command and remembers how it ended.
step() {
  local name=$1 begin=$SECONDS
  shift
  say "$name"
  if "$@"; then
    echo "-- $name: passed in $((SECONDS - begin)) s"
  else
    failed+=("$name")
    echo "-- $name: FAILED after $((SECONDS - begin)) s"
  fi
}

# modules DIR: npm ci, unless node_modules is of this package-lock.json.
modules() {
  cmp -s "$1/package-lock.json" "$1/node_modules/.installed-lock" && return 0
  (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) && cp "$1/package-lock.json" "$1/node_modules/.installed-lock"
}

export CGO_ENABLED=0

node_ok() { have node && have npm && [ "$(node -p 'process.versions.node.split(".")[0] >= 20')" = true ]; }
if node_ok || { package "nodejs npm" "tests with Node" && node_ok; }; then
  for dir in test/*/package-lock.json web/*/package-lock.json; do
    dir=${dir%/package-lock.json}
    step "npm ci in $dir" modules "$dir"
  done
elif have node; then
  skipped+=("tests with Node (node $(node --version) is older than 20)")
fi

if [ -z "${PANDO_CHROMIUM:-}" ] && ! have chromium && ! have chromium-browser && ! have google-chrome; then
  package chromium "tests in a browser" || true
fi

# PostgreSQL's programs are enough: the tests start servers of their own.
if ! compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null && ! have initdb; then
  package "postgresql" "tests on PostgreSQL" || true
fi
if ! have pgbouncer && [ ! -x /usr/sbin/pgbouncer ]; then
  package "pgbouncer" "tests behind PgBouncer" || true
fi

# Brokers: each test has a server of its own.
if ! have nats-server && [ ! -x /usr/sbin/nats-server ]; then
  package "nats-server" "tests with NATS" || true
fi
if ! compgen -G "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server" >/dev/null; then
  package "rabbitmq-server" "tests with RabbitMQ" || true
fi

step "go vet" go vet ./...
step "go test" go test -count=1 -timeout 15m ./...

# The same suites on PostgreSQL: what they expect does not depend on the store.
either="./internal/engine ./internal/api/rest ./internal/api/authn ./internal/api/audit ./internal/auth ./internal/audit ./internal/transfer ./internal/webhooks ./internal/outbox ./internal/events"
PANDO_TEST_STORE=postgres step "go test on PostgreSQL" go test -short -count=1 -timeout 15m $either

# Modules of their own below bench/: the load generator's arithmetic.
for dir in bench/*/go.mod; do
  dir=${dir%/go.mod}
  compgen -G "$dir/*_test.go" >/dev/null && step "go test in $dir" go -C "$dir" test -count=1 ./...
done

# The rooms where goroutines meet. The detector needs cgo.
race="./internal/store/sqlite ./internal/engine ./internal/edge ./internal/lifecycle ./internal/keys ./internal/password ./internal/limit ./internal/token ./internal/auth ./internal/audit ./internal/outbox ./internal/broker/embedded ./internal/broker/nats ./internal/events"
if have gcc || package "gcc libc6-dev" "go test -race"; then
  CGO_ENABLED=1 step "go test -race" go test -race -short -count=1 -timeout 15m $race
fi

echo
for s in ${skipped+"${skipped[@]}"}; do echo "skipped: $s"; done
if [ ${#skipped[@]} -gt 0 ] && [ "${CI:-}" = true ]; then
  failed+=("skipped tests under CI")
fi
if [ ${#failed[@]} -gt 0 ]; then
  list=$(printf ', %s' "${failed[@]}")
  echo "FAIL: ${list:2} ($SECONDS s)"
  exit 1
fi
if [ ${#skipped[@]} -gt 0 ]; then
  echo "PASS: all tests that can run here passed, ${#skipped[@]} kind(s) skipped ($SECONDS s)"
else
  echo "PASS: all tests passed ($SECONDS s)"
fi
