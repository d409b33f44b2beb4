#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch03-handles
until_log 'every worker has the listener'
type_in "curl -sv http://127.0.0.1:1337 2>&1 | grep '^[<>]' | grep -v -e User-Agent -e Date -e Length | tr -d '\r'"
