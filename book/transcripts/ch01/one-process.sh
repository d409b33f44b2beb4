#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_with_node book/node/one-process.js
show_log
type_in 'curl -sS http://127.0.0.1:1337'
gone "$server" 5
type_in 'curl -s http://127.0.0.1:1337; echo "exit status $?"'
