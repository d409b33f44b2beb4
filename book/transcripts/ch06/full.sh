#!/usr/bin/env bash
# shellcheck disable=SC2016 # The lines are typed in as they are.
. "$(dirname "$0")/../terminal.bash"
cd "$work"
serve ch06-reload --workers 1
until_log 'is ready'
show_log >unread
type_in 'half() { exec {fd}<>/dev/tcp/127.0.0.1/1337; printf "GET / HTTP/1.1\r\nHo" >&$fd; }'
type_in 'ask() { curl -s -m 2 http://127.0.0.1:1337 || echo late; sleep 0.1; }'
type_in "for i in {1..14}; do half; ask; kill \$(pgrep -n -P $server); sleep 0.1; done >answers"
type_in 'sort answers | uniq -c'
until_log 'has drained longest'
grep -m 1 'has drained longest' log
