#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch02-balance two_children
show_log
type_in "kill -9 $(pid_of normal)"
type_in 'curl -s --http0.9 http://127.0.0.1:1337 || echo "no answer"'
gone "$server" 5 || fail 'it does not exit'
show_log
type_in 'curl -s --http0.9 http://127.0.0.1:1337 || echo "no answer"'
