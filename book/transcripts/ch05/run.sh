#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 1
until_log 'is ready'
show_log
type_in 'curl -s http://127.0.0.1:1337'
until_log 'exited with'
until_log 'is ready' 2
show_log
type_in 'curl -s http://127.0.0.1:1337'
until_log 'exited with' 2
until_log 'is ready' 3
show_log
press_ctrl_c
show_log
