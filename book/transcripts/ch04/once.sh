#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
echo '$ node book/node/usr2.js &'
: >"$work/log"
node book/node/usr2.js >>"$work/log" &
node=$!
started+=("$node")
until_log 'is ready'
show_log
type_in "kill -STOP $node"
stopped() { grep -q '^State:.*T' "/proc/$node/status"; }
until_true 5 stopped
type_in "kill -USR2 $node; kill -USR2 $node; kill -USR2 $node"
type_in "kill -CONT $node"
until_log 'got SIGUSR2'
sleep 0.5
show_log
