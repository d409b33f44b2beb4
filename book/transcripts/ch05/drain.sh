#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 1
until_log 'is ready'
show_log
type_in "exec 3<>/dev/tcp/127.0.0.1/1337; printf 'GET / HTTP/1.1\r\nHo' >&3"
type_in 'curl -s -m 5 http://127.0.0.1:1337'
until_log 'is ready' 2
show_log
type_in "printf 'st: localhost\r\n\r\n' >&3; cat <&3 | grep -E '^(HTTP|Conn|handled)'"
exec 3>&-
until_log 'exited'
show_log
