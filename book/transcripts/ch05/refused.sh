#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 1 --crash-after 0 >"$work/unread"
until_log 'is ready'
type_in "curl -s -H 'Host:' http://127.0.0.1:1337"
type_in "curl -s -H 'Transfer-Encoding: gzip, chunked' http://127.0.0.1:1337"
# shellcheck disable=SC2016 # It is typed in.
type_in 'curl -s -H "X: $(head -c 20000 /dev/zero | tr "\0" y)" http://127.0.0.1:1337'
