#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/../terminal.bash"
build ch03-handles
line='exec {NODE_CHANNEL_FD}>&-; exec sleep 2'
echo "\$ strace -o trace.txt -e trace=wait4 target/debug/ch03-handles --workers 1 \\
    --exec bash -c '$line' >/dev/null"
strace -o "$work/trace.txt" -e trace=wait4 "$program" --port 0 --workers 1 \
  --exec bash -c "$line" >"$work/out" 2>&1 || true
echo '$ grep -c wait4 trace.txt'
calls=$(grep -c wait4 "$work/trace.txt")
echo "~$calls"
# 20 ms and what the machine adds: one that is very busy adds as much again.
if [ "$calls" -lt 30 ] || [ "$calls" -gt 105 ]; then fail "the book says: a hundred, or somewhat less"; fi
