#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_with_node book/node/accepting-master.js
echo '$ bash book/scripts/ask-and-count.sh'
bash book/scripts/ask-and-count.sh "$url" >"$work/counts"
sed -E 's/: /: ~/' "$work/counts"
hang=$(sed -n 's/^no answer: //p' "$work/counts")
if [ "$hang" = 0 ]; then fail "no client hangs"; fi
