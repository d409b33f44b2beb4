#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_with_node book/node/one-process.js
show_log
echo "$ node book/node/one-process.js 2>&1 | grep '^Error'"
{ PORT=${url##*:} node book/node/one-process.js 2>&1 || true; } | grep '^Error'
