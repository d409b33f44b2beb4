#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch02-balance
echo '$ cargo run -q -p ch02-balance -- worker; echo "exit status $?"'
"$program" worker 2>&1 || echo "exit status $?"
echo '$ NODE_CHANNEL_FD=9 cargo run -q -p ch02-balance -- worker; echo "exit status $?"'
NODE_CHANNEL_FD=9 "$program" worker 2>&1 || echo "exit status $?"
