#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/..
. "$(dirname "$0")/../terminal.bash"
run_with ch04-events "watch -- sh -c 'sleep 1 & exit 7'"
