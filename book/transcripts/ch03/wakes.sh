#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch03-handles --workers 4
until_log 'the parent has closed its own'
who_wakes() {
  sleep 0.5
  echo "\$ bash book/scripts/who-wakes.sh $server"
  bash book/scripts/who-wakes.sh "$server" "$url" >"$work/woken"
}
who_wakes
cat "$work/woken"
press_ctrl_c
serve_with_node book/node/share-listener.js 4
who_wakes
cat "$work/woken"
