#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch02-balance
# shellcheck disable=SC2016 # It is for the child to expand.
line='read -r line <&$NODE_CHANNEL_FD; sleep 0.2; echo "$0 has read $line"'
echo "\$ cargo run -q -p ch02-balance -- --exec sh -c '$line'"
start "$program" --port 0 --exec sh -c "$line"
until_log 'special is'
show_log
type_in 'curl -s --http0.9 --max-time 1 http://127.0.0.1:1337' &
asking=$!
until_log 'no child is left'
show_log
wait "$asking"
