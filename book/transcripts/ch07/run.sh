#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
cd "$work"
# The length depends on the process id.
without_date() { sed -E '/^Date/d; s/^(Content-Length: )/\1~/'; }
serve ch07-cluster --workers 1
until_log 'is ready'
show_log
type_in 'exec 3<>/dev/tcp/127.0.0.1/1337'
type_in "printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' >&3; timeout 1 cat <&3" | without_date
type_in "kill -HUP $server"
until_log 'reload: done'
until_log 'exited with code 0'
show_log
type_in "printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' >&3; timeout 1 cat <&3" | without_date
exec 3>&-
press_ctrl_c
show_log
