#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_with_node book/node/dropping-master.js
until_log started 2
show_log
sleep 0.5
# shellcheck disable=SC2046 # Each process id is a word.
set -- $(workers "$server")
type_in "kill -9 $1 $2"
until_log 'was killed' 2
show_log | sort
type_in 'curl -s -m 1 http://127.0.0.1:1337; echo "curl exits with $?"'
[ -z "$(workers "$server")" ] || fail "a worker is back"
