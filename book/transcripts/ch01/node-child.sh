#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch01-fork-ipc
echo '$ cargo run -q -p ch01-fork-ipc -- --exec node book/node/echo-child.js'
"$program" --exec node book/node/echo-child.js
