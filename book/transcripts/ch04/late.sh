#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/../terminal.bash"
run_with ch04-events "watch -- \\
    bash -c 'exec {NODE_CHANNEL_FD}>&-; (sleep 1; echo late) & exit 5'"
