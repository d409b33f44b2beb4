#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_with_node book/node/balance-parent.js
show_log
special=$(pid_of special)
type_in "kill -9 $(pid_of normal)"
sleep 0.5
type_in 'curl -s --http0.9 http://127.0.0.1:1337 || echo "no answer"'
gone "$server" 5 || fail 'the parent is still there'
gone "$special" 5 || fail 'the other child is still there'
show_log | grep '^Error'
