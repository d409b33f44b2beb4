#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
cd "$work"
for sharing in shared round-robin reuseport; do
  serve ch07-cluster --workers 4 --sharing "$sharing"
  until_log 'is ready' 4
  show_log >unread
  type_in 'for i in {1..400}; do curl -s http://127.0.0.1:1337; done | sort | uniq -c | cut -c 1-8' |
    sed -E 's/^ *([0-9]+) *$/     ~\1/'
  press_ctrl_c
done
