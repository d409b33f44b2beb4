#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch03-handles shared_listener
echo '$ cargo run -q -p ch03-handles --example shared_listener'
"$program" "${url#http://}" 2>&1 || true
