#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 2 >/dev/null
until_log 'is ready' 2
show_log >/dev/null
press_ctrl_c
show_log
