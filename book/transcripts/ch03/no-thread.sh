#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
unset RUST_BACKTRACE
# With large stacks, what is left is too small for a thread and ample for all else.
export RUST_MIN_STACK=8000000
serve_step ch03-handles plain_tiny_http
show_log >/dev/null
# An answer: then it has all threads with which it starts, and it grows no more.
curl -s -o /dev/null "$url"
sleep 0.2
type_in "prlimit --as=\$((1024 * \$(ps -o vsz= -p $server) + 16000000)) --pid $server"
type_in 'bash book/scripts/silent-clients.sh 127.0.0.1:1337 200 >/dev/null 2>&1'
until_log 'failed to spawn'
show_log | grep -v '^$' | sed 's/^thread.*panicked at .*library/thread panicked at library/; /^note/d' | head -n 2
type_in 'curl -s http://127.0.0.1:1337; echo "curl exits with $?"'
type_in "ps -o pid=,stat=,comm= -p $server"
