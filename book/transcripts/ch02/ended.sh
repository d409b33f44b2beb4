#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_with_node book/node/long-reply.js end
show_log
echo "\$ bash book/scripts/slow-client.sh 'GET /'"
bash book/scripts/slow-client.sh 'GET /' "$url" 2>&1 | tee "$work/slow"
[ "$(cat "$work/slow")" = 'received ~1000000 bytes' ] || fail "that is not the whole reply"
