#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/../terminal.bash"
build ch01-fork-ipc
line='echo "NODE_CHANNEL_FD is $NODE_CHANNEL_FD"; for n in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && echo "$n is open"; done'
echo "\$ cargo run -q -p ch01-fork-ipc -- --exec sh -c '$line' 2>&1 | grep -v '[0-9]:'"
"$program" --exec sh -c "$line" 2>&1 | grep -v '[0-9]:' || true
