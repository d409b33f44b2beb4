#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build_step ch06-reload exec_listener
cd "$work"
echo '$ cp target/debug/examples/exec_listener server'
cp "$program" server
echo '$ ./server'
launch ./server 127.0.0.1:0
until_log 'listening'
url=$(sed -n 's/.*listening on //p' "$work/log")
show_log
type_in "exec 3<>/dev/tcp/127.0.0.1/1337; printf 'GET / HTTP/1.1\r\nHo' >&3"
# The main thread, the one that serves, and one for the connection.
holds() { [ "$(find "/proc/$server/task" -maxdepth 1 -mindepth 1 | wc -l)" = 3 ]; }
until_true 5 holds
type_in "kill -USR2 $server"
until_log 'listening' 2
show_log
new=$(sed -n '2s/^process \([0-9]*\):.*/\1/p' "$work/log")
started+=("$new")
# The old program closes its listener: EOF on its channel ends the thread that serves.
alone() { [ "$(ss -Hltnp "sport = :${url##*:}" | grep -o 'pid=' | wc -l)" = 1 ] || ! curl -s "$url" | grep -q "$server"; }
until_true 5 alone
sleep 0.2
type_in 'curl -s http://127.0.0.1:1337'
type_in "printf 'st: localhost\r\n\r\n' >&3; tail -n 1 <&3"
exec 3>&-
gone "$server" 5 || fail "the old program does not exit"
type_in "cp --remove-destination /bin/false server; kill -USR2 $new"
until_log 'the new program'
show_log
type_in 'curl -s http://127.0.0.1:1337'
