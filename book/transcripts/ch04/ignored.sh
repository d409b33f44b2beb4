#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
run_with ch04-events "watch --kill TERM --after 300 -- \\
    sh -c 'trap \"\" TERM; exec sleep 1'"
run_with ch04-events "watch --kill TERM --after 300 -- \\
    sh -c 'trap : TERM; exec sleep 1'"
