#!/usr/bin/env bash
# shellcheck disable=SC2016 # The lines are typed in as they are.
. "$(dirname "$0")/../terminal.bash"
echo '$ node book/node/dropping-master.js >log &'
start env PORT=0 node book/node/dropping-master.js
until_log started 2
sleep 0.5
cd "$work"
type_in 'ask() { curl -s -m "$1" http://127.0.0.1:1337 || echo hangs; }'
measure 'for i in {1..20}; do ask 0.4; done | grep -c hangs' 3 17
hung=$number
measure 'for i in {1..10}; do ask 1 & done | grep -c hangs' 2 10
hung=$((hung + number))
measure "grep -c 'the master accepted' log" "$hung" "$hung"
