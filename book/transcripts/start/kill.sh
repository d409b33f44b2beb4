#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 2 >/dev/null
until_log 'is ready' 2
# shellcheck disable=SC2046 # Each process id is a word.
set -- $(workers "$server")
type_in "kill -9 $1 $2; curl -s http://127.0.0.1:1337"
until_log 'was killed' 2
