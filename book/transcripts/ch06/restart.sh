#!/usr/bin/env bash
# shellcheck disable=SC2016 # The lines are typed in as they are.
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --crash-after 0
until_log 'is ready'
cd "$work"
type_in 'ask() { curl -s -m 5 http://127.0.0.1:1337 || echo refused; }'
type_in 'for i in {1..100}; do ask; sleep 0.01; done >answers &'
asked=$!
sleep 0.2
echo "\$ kill $server"
kill "$server"
gone "$server" 8 || fail "the server does not exit"
echo '$ cargo run -q -p ch05-restart -- --crash-after 0 &'
# A reader types that; it takes a moment.
sleep 0.3
launch "$program" --port "${url##*:}" --crash-after 0
wait "$asked"
measure 'grep -c refused answers' 1 99
