#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
unset RUST_BACKTRACE
serve ch03-handles --workers 2
until_log 'the parent has closed its own'
show_log >/dev/null
pid=$(workers "$server" | head -n 1)
type_in "prlimit --as=\$((1024 * \$(ps -o vsz= -p $pid) + 16000000)) --pid $pid"
type_in 'bash book/scripts/silent-clients.sh 127.0.0.1:1337 200 >/dev/null 2>&1'
until_log 'cannot accept'
until_log 'is not replaced'
show_log
