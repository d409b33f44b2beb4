#!/usr/bin/env bash
# shellcheck disable=SC2016 # The lines are typed in as they are.
. "$(dirname "$0")/../terminal.bash"
cd "$work"
serve ch06-reload --workers 1
until_log 'is ready'
show_log
type_in 'ask() { curl -s -m 5 http://127.0.0.1:1337 || echo lost; }'
type_in 'load() { for i in {1..300}; do ask; done >answers; }'
type_in "load & sleep 0.5; kill -USR2 $server"
asked=$!
gone "$server" 10 || fail "the old program does not exit"
show_log >news
sed "s|$target/|target/|" news
wait "$asked"
type_in 'sort answers | uniq -c'
# Nothing stops the new one with this session.
kill "$(sed -n 's/^upgrade: process \([0-9]*\) has taken over.*/\1/p' news)"
