#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch05-restart restart_on_exit
show_log
type_in 'curl -s http://127.0.0.1:1337'
until_log 'Exited'
show_log
type_in 'curl -s http://127.0.0.1:1337'
until_log 'Exited' 2
show_log
two() { [ "$(workers "$server" | wc -l)" = 2 ]; }
until_true 5 two
# shellcheck disable=SC2046 # Each process id is a word.
set -- $(workers "$server")
type_in "kill -9 $1 $2"
until_log 'Signaled' 2
show_log
until_true 5 two
type_in 'curl -s http://127.0.0.1:1337'
until_log 'Exited' 3
show_log
