#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 1 >"$work/nobody"
until_log 'is ready'
type_in 'exec 3<>/dev/tcp/127.0.0.1/1337'
type_in "printf 'GET / HTTP/1.1\r\n\r\n' >&3; sed -u /^handled/q <&3 | grep handled"
# The connection has moved once the old worker is gone.
until_log 'exited'
until_log 'is ready' 2
type_in "printf 'GET / HTTP/1.1\r\n\r\n' >&3; sed -u /^handled/q <&3 | grep handled"
exec 3>&-
