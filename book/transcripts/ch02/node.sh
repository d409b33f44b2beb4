#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_with_node book/node/balance-parent.js
show_log
echo '$ bash book/scripts/ask-in-turn.sh'
bash book/scripts/ask-in-turn.sh "$url"
type_in "ls -l /proc/$(pid_of normal)/fd | grep -c socket:"
