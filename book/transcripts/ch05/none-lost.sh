#!/usr/bin/env bash
# shellcheck disable=SC2016 # The lines are typed in as they are.
. "$(dirname "$0")/../terminal.bash"
serve_step ch05-restart drain
cd "$work"
type_in 'ask() { curl -s -m 5 http://127.0.0.1:1337 || echo lost; }'
type_in 'for i in {1..50}; do ask & done | tee answers | grep -c lost'
type_in 'grep -c handled answers'
