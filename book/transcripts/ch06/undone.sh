#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
cd "$work"
type_in "mkdir public; echo '<h1>hello</h1>' >public/index.html"
type_in "printf 'workers = 1\nfolder = \"public\"\n' >site.toml"
serve ch06-reload --config site.toml
until_log 'is ready'
show_log
type_in 'truncate -s 1G public/film.mp4'
type_in "kill -HUP $server"
until_log 'reload: undone'
until_log 'exited with'
until_log 'starts in'
show_log >news
sed "s|$work/||" news
type_in 'curl -s http://127.0.0.1:1337'
