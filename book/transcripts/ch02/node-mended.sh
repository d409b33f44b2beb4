#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"

echo '$ (ulimit -n 1000; node book/node/balance-parent.js book/node/mended-child.js)'
start sh -c 'ulimit -n 1000; exec env PORT=0 node book/node/balance-parent.js book/node/mended-child.js'
echo '$ node book/node/load.js 5000'
node book/node/load.js 5000 16 "$url" | tee "$work/load"
ok 'none is lost' grep -q 'answered ~5000 of 5000, lost ~0' "$work/load" >/dev/null
