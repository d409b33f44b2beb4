#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 2 >/dev/null
until_log 'is ready' 2
type_in 'curl -s http://127.0.0.1:1337'
type_in 'curl -s http://127.0.0.1:1337'
type_in 'curl -s http://127.0.0.1:1337'
