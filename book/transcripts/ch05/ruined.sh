#!/usr/bin/env bash
# shellcheck disable=SC2016 # The line is typed in as it is.
. "$(dirname "$0")/../terminal.bash"
build ch05-restart
echo '$ cargo run -q -p ch05-restart -- --exec node book/node/dropping-worker.js >log &'
start "$program" --port 0 --exec node book/node/dropping-worker.js
until_log 'is ready'
cd "$work"
type_in 'ask() { curl -s -m "$1" http://127.0.0.1:1337 >>answers || echo hangs; }'
type_in 'for i in {1..20}; do ask 5; done | grep -c hangs'
until_log 'is ready' 21
type_in "curl -s -w '%{http_code}\n' http://127.0.0.1:1337 http://127.0.0.1:1337"
