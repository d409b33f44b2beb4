#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/../terminal.bash"
build ch01-fork-ipc
line='ls /proc/$$/fd/9; cat <&$NODE_CHANNEL_FD >&$NODE_CHANNEL_FD'
echo "\$ cargo run -q -p ch01-fork-ipc -- --exec sh -c '$line' 9</dev/null 2>&1 | grep fd/9"
"$program" --exec sh -c "$line" 9</dev/null 2>&1 | grep fd/9
