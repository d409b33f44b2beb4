#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
cd "$work"
type_in "printf 'workers = 1\ngreeting = \"hello\"\n' >site.toml"
serve ch06-reload --config site.toml
until_log 'is ready'
show_log
type_in 'curl -s http://127.0.0.1:1337'
type_in "printf 'workers = 1\ngreeting = \"good day\"\n' >site.toml"
type_in "kill -HUP $server"
until_log 'reload: done'
until_log 'exited with'
show_log
type_in 'curl -s http://127.0.0.1:1337'
type_in 'echo "workers = 0" >site.toml'
type_in "kill -HUP $server"
until_log 'nothing is changed'
show_log
type_in "kill -TTIN $server"
until_log 'is ready' 3
show_log
type_in "kill -TTOU $server"
until_log 'exited with' 2
show_log
press_ctrl_c
show_log
