#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch03-handles shared_listener
for _ in {1..4}; do type_in 'curl -s http://127.0.0.1:1337'; done
show_log >"$work/shown"
grep -q '^listening' "$work/shown" || fail "it printed $(cat "$work/shown")"
