#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/../terminal.bash"
build_step ch01-fork-ipc exec
line='ls /proc/$$/fd/9; cat <&$NODE_CHANNEL_FD >&$NODE_CHANNEL_FD'
echo "\$ cargo run -q -p ch01-fork-ipc --example exec -- sh -c '$line' 9</dev/null"
"$program" sh -c "$line" 2>&1 9</dev/null
