#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch02-balance two_children
show_log
for _ in 1 2 3 4; do type_in 'curl -s --http0.9 http://127.0.0.1:1337; echo'; done
