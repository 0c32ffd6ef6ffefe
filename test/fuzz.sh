#!/usr/bin/env bash
# Fuzzes every fuzz target of the module, one after the other, each for the
# time given (10m). `make fuzz` calls it. A crash leaves its input in the
# package's testdata/fuzz; it is committed with the fix.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
each=${1:-10m}

failed=() count=0
while read -r pkg target; do
  count=$((count + 1))
  echo "== $pkg $target for $each"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "$each" -timeout 0 "$pkg" || failed+=("$pkg.$target")
done < <(go test -json -list '^Fuzz' ./... | sed -nE 's/.*"Package":"([^"]*)".*"Output":"(Fuzz[A-Za-z0-9_]*)\\n".*/\1 \2/p')

[ "$count" -gt 0 ] || { echo "FAIL: no fuzz target found"; exit 1; }
if [ ${#failed[@]} -gt 0 ]; then
  echo "FAIL: ${failed[*]}"
  exit 1
fi
echo "PASS: $count fuzz targets, $each each"
