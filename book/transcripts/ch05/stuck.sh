#!/usr/bin/env bash
# shellcheck disable=SC2016 # The lines are typed in as they are.
. "$(dirname "$0")/../terminal.bash"
serve_step ch05-restart drain
cd "$work"
type_in 'half() { exec {fd}<>/dev/tcp/127.0.0.1/1337; printf "GET / HTTP/1.1\r\nHo" >&$fd; }'
type_in 'for i in {1..10}; do half; done'
# Each of the two workers must hold one of them: then it has a thread for it.
held() { local pid; for pid; do [ "$(find "/proc/$pid/task" -maxdepth 1 -mindepth 1 | wc -l)" -gt 1 ] || return 1; done; }
# shellcheck disable=SC2046 # Each process id is a word.
set -- $(workers "$server")
until held "$@"; do half; sleep 0.05; done
type_in 'curl -s http://127.0.0.1:1337'
sleep 0.2
type_in 'curl -s http://127.0.0.1:1337'
sleep 0.2
type_in 'curl -s -m 2 http://127.0.0.1:1337; echo "curl exits with $?"'
