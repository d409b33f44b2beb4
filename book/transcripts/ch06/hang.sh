#!/usr/bin/env bash
# shellcheck disable=SC2016 # The lines are typed in as they are.
. "$(dirname "$0")/../terminal.bash"
cd "$work"
type_in "printf 'workers = 1\n[limits]\nalive = 1\n' >site.toml"
serve ch06-reload --config site.toml --demo
until_log 'is ready'
show_log
worker=$(workers "$server")
# A worker that ends sooner counts as a crash, and a pause follows.
sleep 1
type_in "kill -STOP $worker"
until_log 'is ready' 2
show_log
type_in 'curl -s http://127.0.0.1:1337/busy/500'
type_in 'curl -s http://127.0.0.1:1337/loop; echo "curl exits with $?"'
until_log 'is ready' 3
show_log
