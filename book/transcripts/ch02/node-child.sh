#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch02-balance --exec node book/node/mended-child.js
type_in 'curl -s --http0.9 http://127.0.0.1:1337; echo'
type_in 'curl -s --http0.9 http://127.0.0.1:1337; echo'
