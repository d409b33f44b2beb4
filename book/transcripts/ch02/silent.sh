#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch02-balance two_children
show_log
type_in 'exec 9<>/dev/tcp/127.0.0.1/1337'
for _ in 1 2 3; do
  type_in 'curl -s --http0.9 --max-time 2 http://127.0.0.1:1337 || echo -n "no answer"; echo'
done
exec 9<&-
