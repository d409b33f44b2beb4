#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch05-restart
echo '$ cargo run -q -p ch05-restart -- --workers 2 >log &'
start "$program" --port 0 --workers 2
until_log 'is ready' 2
cd "$work"
# shellcheck disable=SC2016 # It is typed in as it is.
type_in 'ask() { curl -s -m "$1" http://127.0.0.1:1337 >>answers || echo hangs; }'
type_in 'for i in {1..20}; do ask 5; done | grep -c hangs'
type_in 'for i in {1..10}; do ask 5 & done | grep -c hangs'
type_in "grep -c '^handled by child' answers"
type_in "curl -s -o body -o body -w '%{http_code}\n' http://127.0.0.1:1337 http://127.0.0.1:1337"
full() { [ "$(workers "$server" | wc -l)" = 2 ]; }
until_true 5 full
# shellcheck disable=SC2046 # Each process id is a word.
set -- $(workers "$server")
type_in "kill -9 $1 $2; curl -s http://127.0.0.1:1337"
until_true 5 full
# shellcheck disable=SC2046 # Each process id is a word.
set -- $(workers "$server")
type_in "kill $server"
code=0
wait "$server" || code=$?
[ "$code" = 0 ] || fail "the server ends with $code"
type_in "ps -o pid=,s=,args= -p $1 -p $2"
type_in 'curl -s http://127.0.0.1:1337; echo "curl ends with $?"'
