#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/../terminal.bash"
run_with ch04-events "watch --disconnect --after 100 -- \\
    bash -c 'read -r x <&\$NODE_CHANNEL_FD; exit 4'"
