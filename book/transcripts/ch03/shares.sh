#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch03-handles --workers 4
until_log 'the parent has closed its own'
# count LEAST MOST: what the busiest of four has answered, out of 200.
count() {
  type_in "curl -s -H 'Connection: close' 'http://127.0.0.1:1337/?[1-200]' | sort | uniq -c | sort -rn | head -1" >"$work/count"
  sed -E 's/^ *([0-9]+) (handled)/~\1 \2/' "$work/count"
  awk -v least="$1" -v most="$2" '/^ *[0-9]+ handled/ { ok = $1 >= least && $1 <= most } END { exit !ok }' \
    "$work/count" || fail "the busiest has not answered $1 to $2 of 200"
}
count 50 60
press_ctrl_c
serve_with_node book/node/share-listener.js 4
count 51 200
