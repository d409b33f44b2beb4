#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 1 --exec sleep 0.05
until_log 'starts in 1600 ms'
show_log
press_ctrl_c
show_log
