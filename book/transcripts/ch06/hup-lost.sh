#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
cd "$work"
echo 'good day' >greeting.txt
serve_step ch06-reload hup_restart
show_log >unread
curl -s "$url" >unread
type_in "exec 3<>/dev/tcp/127.0.0.1/1337; printf 'GET / HTTP/1.1\r\nHo' >&3"
# shellcheck disable=SC2046 # Each process id is a word.
holds() { have_a_thread $(workers "$server" | head -n 1) || have_a_thread $(workers "$server" | tail -n 1); }
until_true 5 holds
type_in "kill -HUP $server"
until_log 'Signaled' 2
show_log >unread
type_in "cat <&3; echo 'the end of the stream'"
exec 3>&-
curl -s "$url" >unread
type_in "rm greeting.txt; kill -HUP $server"
until_log 'exits' 2
until_log 'Signaled' 4
show_log | sort
# shellcheck disable=SC2016 # It is typed in.
type_in 'curl -s -m 2 http://127.0.0.1:1337; echo "curl exits with $?"'
