#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch04-events
echo '$ cargo run -q -p ch04-events'
"$program"
