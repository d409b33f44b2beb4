#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch02-balance
until_log 'special is'
show_log
echo '$ node book/node/load.js 20000 &'
node book/node/load.js 20000 16 "$url" >"$work/load" &
load=$!
# Its clients are at work: each of them is a socket.
clients_ask() { [ "$(find "/proc/$load/fd" -lname 'socket:*' 2>/dev/null | wc -l)" -ge 10 ]; }
until_true 5 clients_ask || fail 'nobody asks'
sleep 0.3
type_in "kill -9 $(pid_of normal)"
kill -0 "$load" || fail 'the clients were too fast'
wait "$load"
show_log
cat "$work/load"
lost=$(sed -n 's/.*lost ~//p' "$work/load")
[ "$lost" -le 16 ] || fail "it has lost $lost"
