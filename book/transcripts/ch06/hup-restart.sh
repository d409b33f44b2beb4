#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
cd "$work"
type_in 'echo hello >greeting.txt'
serve_step ch06-reload hup_restart
show_log
type_in 'curl -s http://127.0.0.1:1337'
type_in "echo good day >greeting.txt; kill -HUP $server"
until_log 'Signaled' 2
show_log | sort
printf '%s\n' "\$ curl -s -w '%{time_total} s\n' http://127.0.0.1:1337"
curl -s -w '~%{time_total} s\n' "$url"
