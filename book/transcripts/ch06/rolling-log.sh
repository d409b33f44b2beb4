#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
cd "$work"
type_in 'echo hello >greeting.txt'
serve_step ch06-reload rolling
until_log 'is ready' 2
show_log
type_in "kill -HUP $server"
until_log 'exits' 2
show_log
type_in "rm greeting.txt; kill -HUP $server"
until_log 'exits' 3
show_log
type_in 'curl -s http://127.0.0.1:1337'
