#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch03-handles --workers 1
until_log 'the parent has closed its own'
pid=$(workers "$server")
type_in "find /proc/$pid/fd -lname 'socket:*' -printf '%f is %l\n' | sort"
