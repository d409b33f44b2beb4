#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch07-cluster hello
until_log 'is ready' 2
show_log
type_in 'for i in {1..4}; do curl -s http://127.0.0.1:1337; done | sort'
press_ctrl_c
