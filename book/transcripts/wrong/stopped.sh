#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 1 --crash-after 0 >/dev/null
until_log 'is ready'
# What Ctrl-Z in the terminal does: it reaches the parent and the workers.
worker=$(workers "$server")
kill -STOP "$server" "$worker"
type_in 'curl -s --max-time 1 http://127.0.0.1:1337; echo "exit status $?"'
type_in "ps -o pid=,s=,comm= -p $server -p $worker"
type_in "kill -CONT $server $worker; curl -s http://127.0.0.1:1337"
