#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 1 >"$work/nobody"
until_log 'is ready'
type_in "exec 3<>/dev/tcp/127.0.0.1/1337"
type_in "env printf 'GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n' >&3; cat <&3 | grep -E '^(HTTP|Conn|handled)'"
exec 3>&-
