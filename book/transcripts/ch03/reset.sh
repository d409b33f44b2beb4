#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch03-handles --workers 1
until_log 'the parent has closed its own'
show_log >/dev/null
pid=$(workers "$server")
stopped() { ! grep -h '^State:' "/proc/$1/task"/*/status | grep -qv stopped; }
type_in "kill -STOP $pid"
until_true 5 stopped "$pid" || fail "$pid goes on"
type_in "node book/node/resets.js 127.0.0.1:1337"
type_in "kill -CONT $pid"
until_log 'a client reset'
show_log
type_in 'curl -s http://127.0.0.1:1337'
