#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 2 >"$work/nobody"
until_log 'is ready' 2
cd "$work"
TIMEFORMAT='~%1R s'
begun=$SECONDS
type_in "time curl -s 'http://127.0.0.1:1337/[1-1000]' >answers"
[ $((SECONDS - begun)) -le 20 ] || fail "that took more than 20 s"
type_in 'grep -c handled answers'
workers=$(sort -u answers | wc -l)
[ "$workers" -ge 500 ] || fail "only $workers have crashed"
echo '$ sort -u answers | wc -l'
echo "~$workers"
