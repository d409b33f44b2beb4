#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"

echo '$ (ulimit -n 1000; node book/node/balance-parent.js 2>/tmp/node.log)'
start sh -c "ulimit -n 1000; exec env PORT=0 node book/node/balance-parent.js 2>'$work/node.log'"
show_log
echo '$ node book/node/load.js 5000'
node book/node/load.js 5000 16 "$url" | tee "$work/load"
answered=$(sed -n 's/answered ~\([0-9]*\) of.*/\1/p' "$work/load")
if [ "$answered" -lt 1800 ] || [ "$answered" -gt 2000 ]; then fail "Node has answered $answered"; fi
type_in "ls /proc/$(pid_of normal)/fd | wc -l"
echo '$ tail -1 /tmp/node.log'
tail -1 "$work/node.log"
