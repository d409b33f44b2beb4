#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
cd "$work"
serve ch06-reload --workers 2
until_log 'is ready' 2
show_log >unread
type_in "exec 3<>/dev/tcp/127.0.0.1/1337; printf 'GET / HTTP/1.1\r\nHo' >&3"
# descriptors NUMBER: the workers together have so many.
descriptors() {
  local pid count=0
  for pid in $(workers "$server"); do
    count=$((count + $(find "/proc/$pid/fd" -type l | wc -l)))
  done
  [ "$count" = "$1" ]
}
until_true 5 descriptors 15
type_in "kill -HUP $server"
until_log 'reload: done'
sleep 0.5
measured() { sed -E 's/("age":|"memory":)/\1~/g; s/\},\{/},\n  {/g; s/\[\{/[\n  {/'; }
type_in 'curl -s http://127.0.0.1:1337/workers' | measured
