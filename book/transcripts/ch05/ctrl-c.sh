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
echo '^C'
kill -INT "$server"
until_log 'got SIGINT'
# The worker has closed its listener.
until_true 5 descriptors 7
show_log
# shellcheck disable=SC2016 # It is typed in.
type_in 'curl -s http://127.0.0.1:1337; echo "curl exits with $?"'
type_in "printf 'st: localhost\r\n\r\n' >&3; cat <&3 | grep handled"
exec 3>&-
code=0
wait "$server" || code=$?
show_log
[ "$code" = 0 ] || fail "the server exits with $code"
