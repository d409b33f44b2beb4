#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
unset RUST_BACKTRACE
# With large stacks, what is left is too small for a thread and ample for all else.
export RUST_MIN_STACK=8000000
serve ch03-handles --workers 2
until_log 'the parent has closed its own'
show_log >/dev/null
pid=$(workers "$server" | head -n 1)
# An answer: then it has all threads with which it starts, and it grows no more.
curl -s -o /dev/null "$url"
sleep 0.2
type_in "prlimit --as=\$((1024 * \$(ps -o vsz= -p $pid) + 16000000)) --pid $pid"
type_in 'bash book/scripts/silent-clients.sh 127.0.0.1:1337 200 >/dev/null 2>&1'
until_log 'cannot accept'
until_log 'is not replaced'
show_log
