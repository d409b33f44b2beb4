#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/../terminal.bash"
build ch04-events
line='exec {NODE_CHANNEL_FD}>&- >&- 2>&-; sleep 0.5; exit 7'
echo "\$ strace -o trace.txt target/debug/ch04-events watch -- \\
    bash -c '$line'"
strace -o "$work/trace.txt" "$program" watch -- bash -c "$line"
echo "\$ grep -A 8 ERESTART trace.txt | sed 's/, si_uid.*}/ …}/; s/0x[0-9a-f]*/…/'"
grep -A 8 ERESTART "$work/trace.txt" | sed 's/, si_uid.*}/ …}/; s/0x[0-9a-f]*/…/'
