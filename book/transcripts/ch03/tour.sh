#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch03-handles
echo '$ cargo run -q -p ch03-handles -- tour'
"$program" tour
