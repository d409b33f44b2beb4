#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch02-balance
type_in 'curl -sS http://127.0.0.1:1337; echo "exit status $?"'
type_in 'curl -sS --http0.9 http://127.0.0.1:1337; echo'
