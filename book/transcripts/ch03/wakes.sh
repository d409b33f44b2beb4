#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch03-handles --workers 4
until_log 'the parent has closed its own'
count_woken() {
  sleep 0.5
  echo "\$ bash book/scripts/count-woken.sh $server"
  bash book/scripts/count-woken.sh "$server" "$url" >"$work/woken"
}
count_woken
cat "$work/woken"
press_ctrl_c
serve_with_node book/node/share-listener.js 4
count_woken
cat "$work/woken"
