#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build_step ch06-reload rolling
build_step ch06-reload exec_listener
examples=$(dirname "$program")
cd "$work"
echo hello >greeting.txt
echo '$ cp target/debug/examples/rolling server'
cp "$examples/rolling" server
echo '$ ./server'
launch ./server 127.0.0.1:0
until_log 'is ready' 2
url=$(sed -n 's/^listening on //p' "$work/log")
show_log
echo '$ cp --remove-destination target/debug/examples/exec_listener server'
cp --remove-destination "$examples/exec_listener" server
type_in "kill -HUP $server"
until_log 'exits' 2
show_log
new=$(workers "$server" | tail -n 1)
type_in "readlink /proc/$new/exe | sed 's|.*/||'"
