#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch03-handles send_listener
two() { [ "$(workers "$server" | wc -l)" = 2 ]; }
until_true 5 two
mapfile -t pids < <(workers "$server")
type_in "ps -o pid=,stat=,comm= --ppid $server"
# The children are woken in turn. On a busy machine the second child may be first.
second_answers() { [ "$(curl -s "$url")" = "handled by child, pid is ${pids[1]}" ]; }
until_true 5 second_answers
for _ in {1..2}; do type_in 'curl -s http://127.0.0.1:1337'; done
for pid in "$server" "${pids[@]}"; do
  type_in "find /proc/$pid/fd -lname 'socket:*' -printf '%f is %l\n' | sort"
done
