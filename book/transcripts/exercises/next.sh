#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
echo '$ cargo run -q -p classroom -- next'
# The rest is what the program of the exercise has printed: there are paths in it.
cargo run -q -p classroom -- next >"$work/next"
sed -n '1,/^Next/p' "$work/next"
sed -n '/^  read/,/^$/p' "$work/next" | head -3
