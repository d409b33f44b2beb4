#!/usr/bin/env bash
# shellcheck disable=SC2016 # The lines are typed in as they are.
. "$(dirname "$0")/../terminal.bash"
cd "$work"
type_in "printf 'workers = 2\ngreeting = \"hello\"\n' >site.toml"
serve ch06-reload --config site.toml
until_log 'is ready' 2
show_log >unread
type_in 'ask() { curl -s -m 5 http://127.0.0.1:1337 || echo lost; }'
type_in 'load() { for i in {1..400}; do ask; done >answers; }'
type_in "greet() { sed -i \"s/greeting.*/greeting = '\$1'/\" site.toml; kill -HUP $server; }"
type_in 'load & for i in "good day" hello "good day"; do greet "$i"; sleep 0.8; done'
asked=$!
wait "$asked"
type_in 'sort -u answers'
