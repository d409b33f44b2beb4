#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
run_with ch04-events "watch -- sh -c 'sleep 1 & exit 7'"
