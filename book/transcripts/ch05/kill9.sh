#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 1 --crash-after 0
until_log 'is ready'
show_log
worker=$(workers "$server")
# descriptors NUMBER: whether the worker has so many.
descriptors() { [ "$(find "/proc/$worker/fd" -type l | wc -l)" = "$1" ]; }
until_true 5 descriptors 7
type_in "exec 3<>/dev/tcp/127.0.0.1/1337; printf 'GET / HTTP/1.1\r\nHo' >&3"
until_true 5 descriptors 8
sleep 0.2
type_in "kill -9 $worker; curl -s http://127.0.0.1:1337"
until_log 'is ready' 2
show_log
type_in "cat <&3; echo 'the end of the stream'"
exec 3>&-
