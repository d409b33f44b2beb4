#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is typed as it stands.
. "$(dirname "$0")/../terminal.bash"
serve ch03-handles --workers 2
until_log 'the parent has closed its own'
mapfile -t pids < <(workers "$server")
seen=$(wc -l <"$work/log")
for pid in "${pids[@]}"; do
  type_in "kill -KILL $pid"
  until_log "worker $pid was killed"
done
gone "$server" 5 || fail "the parent goes on"
show_log
type_in 'curl -s http://127.0.0.1:1337; echo "curl exits with $?"'
