#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_with_node book/node/dropping-master.js
until_log started 2
show_log
sleep 0.5
# shellcheck disable=SC2046 # Each process id is a word.
set -- $(workers "$server")
started+=("$@")
type_in "kill $server"
gone "$server" 5
asleep() { [ "$(ps -o s= -p "$1" -p "$2" | grep -c S)" = 2 ]; }
sleep 0.3
until_true 5 asleep "$@"
type_in "ps -o pid=,s=,args= -p $1 -p $2 | sed 's|[^ ]*/||g'"
echo '$ node book/node/dropping-master.js 2>&1 | grep code:'
PORT=${url##*:} node book/node/dropping-master.js 2>&1 | grep code: || true
type_in "kill $1 $2"
gone "$1" 5 && gone "$2" 5
