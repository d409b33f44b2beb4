#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch02-balance two_children
show_log
normal=$(pid_of normal)
type_in "kill -STOP $normal"
echo '$ curl -s --http0.9 http://127.0.0.1:1337 || echo "no answer" &'
(curl -s --http0.9 "$url" || echo "no answer") >"$work/curl" &
asking=$!
# The parent has accepted the connection and sent it: it is in the channel of `normal`.
sleep 1
type_in "kill -9 $normal"
wait "$asking"
cat "$work/curl"
type_in "ps -o pid,stat,comm --ppid $server"
