#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch05-restart
# This address is for documentation (RFC 5737): no machine has it.
echo '$ cargo run -q -p ch05-restart -- --addr 192.0.2.1; echo "exit status $?"'
"$program" --addr 192.0.2.1 2>&1 || echo "exit status $?"
