#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
echo '$ strace -f -o trace.txt -e trace=wait4 node book/node/five.js &'
: >"$work/log"
strace -f -o "$work/trace.txt" -e trace=wait4 node book/node/five.js >>"$work/log" &
strace=$!
started+=("$strace")
has_five() { [ "$(pgrep -c -P "$node" sleep)" = 5 ]; }
has_node() { node=$(pgrep -f -P "$strace" "^node book"); }
until_true 5 has_node
until_true 5 has_five
children=$(pgrep -P "$node" sleep | paste -sd' ')
# All its threads: strace says so of each.
stopped() { [ "$(grep -c 'stopped by SIGSTOP' "$work/trace.txt")" = "$(awk '/^Threads/ { print $2 }' "/proc/$node/status")" ]; }
all_dead() { [ "$(grep -c 'killed by SIGKILL' "$work/trace.txt")" = 5 ]; }
type_in "kill -STOP $node"
until_true 5 stopped
type_in "kill -KILL $children"
until_true 5 all_dead
type_in "kill -CONT $node"
gone "$strace" 5
show_log
echo "\$ grep -c -e '--- SIGCHLD' trace.txt; grep -c 'wait4(' trace.txt"
grep -c -e '--- SIGCHLD' "$work/trace.txt"
grep -c 'wait4(' "$work/trace.txt"
