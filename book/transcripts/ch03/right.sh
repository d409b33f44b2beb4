#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch03-handles
echo '$ node book/node/wrong-handle.js target/debug/ch03-handles'
node book/node/wrong-handle.js "$program"
