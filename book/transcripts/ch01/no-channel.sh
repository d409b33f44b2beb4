#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch01-fork-ipc
echo '$ cargo run -q -p ch01-fork-ipc -- worker; echo "it ends with $?"'
"$program" worker 2>&1 || echo "it ends with $?"
