#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build_step ch03-handles shared_listener
echo '$ node book/node/killed-in-accept.js target/debug/examples/shared_listener'
node book/node/killed-in-accept.js "$program"
