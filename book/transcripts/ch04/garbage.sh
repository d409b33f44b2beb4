#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/../terminal.bash"
run_with ch04-events "watch -- \\
    bash -c 'echo garbage >&\$NODE_CHANNEL_FD; echo \"[1, 2]\" >&\$NODE_CHANNEL_FD; exit 2'"
