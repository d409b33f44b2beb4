#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch05-restart
echo '$ cargo run -q -p ch05-restart -- --worker 4 2>&1 | head -n 1'
"$program" --worker 4 2>&1 | head -n 1 || true
echo '$ cargo run -q -p ch05-restart -- --workers 0 2>&1 | head -n 1'
"$program" --workers 0 2>&1 | head -n 1 || true
build ch02-balance
echo '$ cargo run -q -p ch02-balance -- --workers 2 2>&1 | head -n 1'
"$program" --workers 2 2>&1 | head -n 1 || true
