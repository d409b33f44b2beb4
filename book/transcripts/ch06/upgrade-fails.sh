#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch06-reload
cd "$work"
echo '$ cp target/debug/ch06-reload server'
cp "$program" server
echo '$ ./server --workers 1'
launch "$work/server" --workers 1 --port 0
until_log 'is ready'
url=$(sed -n 's/^listening on //p' "$work/log")
show_log
type_in "cp --remove-destination /etc/hostname server; kill -USR2 $server"
until_log 'serves on'
show_log >news
sed "s|$work|/tmp|" news
type_in "rm server; kill -USR2 $server"
until_log 'serves on' 2
show_log >news
sed "s|$work|/tmp|" news
type_in 'curl -s http://127.0.0.1:1337'
