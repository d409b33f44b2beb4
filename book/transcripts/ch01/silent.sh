#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch01-fork-ipc
echo '$ cargo run -q -p ch01-fork-ipc -- --exec sleep 60; echo "it ends with $?"'
"$program" --exec sleep 60 2>&1 || echo "it ends with $?"
