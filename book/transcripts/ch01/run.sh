#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/..
. "$(dirname "$0")/../terminal.bash"
build ch01-fork-ipc
echo '$ cargo run -q -p ch01-fork-ipc'
"$program"
