#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch02-balance
echo '$ node book/node/wrong-handle.js target/debug/ch02-balance'
node book/node/wrong-handle.js "$program"
