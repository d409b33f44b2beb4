#!/usr/bin/env bash
# shellcheck disable=SC2016 # The lines are typed in as they are.
. "$(dirname "$0")/../terminal.bash"
serve_step ch05-restart replace_first
cd "$work"
slow_clients
type_in 'curl -s http://127.0.0.1:1337'
sleep 0.2
type_in 'curl -s http://127.0.0.1:1337'
sleep 0.2
type_in 'curl -s -m 2 http://127.0.0.1:1337; echo "curl exits with $?"'
type_in 'printf "st: localhost\r\n\r\n" >&$fd; tail -n 1 <&$fd'
