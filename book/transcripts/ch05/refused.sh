#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 1 >"$work/nobody"
until_log 'is ready'
type_in "exec 3<>/dev/tcp/127.0.0.1/1337; printf 'hello\r\n\r\n' >&3; cat <&3 | head -n 1"
exec 3>&-
# shellcheck disable=SC2016 # It is typed in.
type_in 'curl -s -H "X: $(head -c 20000 /dev/zero | tr "\0" y)" http://127.0.0.1:1337'
