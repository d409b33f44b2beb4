#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch02-balance two_children
show_log
type_in 'node book/node/reset.js http://127.0.0.1:1337'
gone "$(pid_of normal)" 5 || fail 'the child lives'
for _ in 1 2; do
  type_in 'curl -s --http0.9 http://127.0.0.1:1337 || echo -n "no answer"; echo'
done
gone "$server" 5 || fail 'it does not exit'
show_log
