#!/usr/bin/env bash
# shellcheck disable=SC2016 # The lines are typed in as they are.
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --crash-after 0
until_log 'is ready'
cd "$work"
type_in 'ask() { curl -s -m 5 http://127.0.0.1:1337 || echo refused; }'
type_in 'load() { for i in {1..100}; do ask; sleep 0.01; done >answers; }'
echo "\$ load & sleep 0.5; kill $server; cargo run -q -p ch05-restart -- --crash-after 0 &"
load &
asked=$!
sleep 0.5
kill "$server"
gone "$server" 8 || fail "the server does not exit"
# cargo looks first whether there is something to build.
sleep 0.3
launch "$program" --port "${url##*:}" --crash-after 0
wait "$asked"
measure 'grep -c refused answers' 1 99
