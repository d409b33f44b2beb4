#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
run_with ch04-events "watch -- sh -c 'exit 7'"
run_with ch04-events 'watch --kill TERM --after 100 -- sleep 60'
