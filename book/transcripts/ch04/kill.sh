#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
run_with ch04-events "watch --kill KILL --after 200 -- \\
    sh -c 'trap \"\" TERM INT; exec sleep 60'"
