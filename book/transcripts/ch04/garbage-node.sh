#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/../terminal.bash"
type_in "node book/node/events.js bash -c 'echo garbage >&\$NODE_CHANNEL_FD; exit 2' 2>&1 |
    grep -oE '^\\{.*|^SyntaxError'"
