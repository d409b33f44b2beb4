#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
echo "\$ cargo run -q -p ch03-handles -- --workers 1 --exec sh -c 'sleep 10 & exit 7'"
build ch03-handles
start "$program" --port 0 --workers 1 --exec sh -c 'sleep 10 & exit 7'
until_log 'started'
is_zombie() { [[ $(ps -o stat= --ppid "$server") == *Z* ]]; }
until_true 2 is_zombie
show_log
type_in "ps -o pid=,stat=,comm= --ppid $server"
type_in 'sleep 1'
type_in "ps -o pid=,stat=,comm= --ppid $server"
type_in 'sleep 10'
gone "$server" 5
show_log
