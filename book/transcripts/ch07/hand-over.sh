#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch07-cluster hand_over
show_log
type_in "yes http://127.0.0.1:1337 | head -n 9 | xargs curl -s -w 'connections: %{num_connects}\n'"
