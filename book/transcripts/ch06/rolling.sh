#!/usr/bin/env bash
# shellcheck disable=SC2016 # The lines are typed in as they are.
. "$(dirname "$0")/../terminal.bash"
cd "$work"
type_in 'echo hello >greeting.txt'
serve_step ch06-reload rolling
until_log 'is ready' 2
show_log
type_in "exec 3<>/dev/tcp/127.0.0.1/1337; printf 'GET / HTTP/1.1\r\nHo' >&3"
# shellcheck disable=SC2046 # Each process id is a word.
holds() { have_a_thread $(workers "$server" | head -n 1) || have_a_thread $(workers "$server" | tail -n 1); }
until_true 5 holds
type_in 'ask() { curl -s -m 5 http://127.0.0.1:1337 || echo lost; }'
type_in 'echo good day >greeting.txt'
type_in "kill -HUP $server; for i in {1..200}; do ask; sleep 0.01; done | sort -u"
type_in "printf 'st: localhost\r\n\r\n' >&3; tail -n 1 <&3"
exec 3>&-
