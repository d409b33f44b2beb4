#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/../terminal.bash"
run_with ch04-events 'watch -- node book/node/sigterm.js'
run_with ch04-events "watch -- sh -c 'kill -TERM \$\$'"
