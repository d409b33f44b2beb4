#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
# Two processes print at the same time: the order that is shown is that of the messages.
step ch01-fork-ipc exec node book/node/echo-child.js | {
  IFS= read -r command
  echo "$command"
  lines=$(cat)
  grep received <<<"$lines" | sort -t: -k3,3 -k1,1
  grep -v received <<<"$lines"
}
