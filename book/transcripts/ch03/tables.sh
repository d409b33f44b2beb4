#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch03-handles shared_listener
two() { [ "$(workers "$server" | wc -l)" = 2 ]; }
until_true 5 two
mapfile -t pids < <(workers "$server")
# The parent closes its own after the second fork.
closed() { ! readlink /proc/"$server"/fd/* | grep -q socket; }
until_true 5 closed || fail "the parent holds a socket"
type_in "ps -o pid=,stat=,comm= --ppid $server"
for pid in "${pids[@]}" "$server"; do
  type_in "find /proc/$pid/fd -lname 'socket:*' -printf '%f is %l\n'"
done
