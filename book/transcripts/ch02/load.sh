#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch02-balance
echo '$ (ulimit -n 1000; cargo run -q -p ch02-balance)'
start sh -c "ulimit -n 1000; exec '$program' --port 0"
until_log 'special is'
show_log
normal=$(pid_of normal)
descriptors() { find "/proc/$normal/fd" -type l 2>/dev/null | wc -l; }
before=$(descriptors)
echo '$ node book/node/load.js 5000'
node book/node/load.js 5000 16 "$url" | tee "$work/load"
grep -q 'lost ~0$' "$work/load" || fail 'it has lost connections'
as_before() { [ "$(descriptors)" = "$before" ]; }
until_true 5 as_before || fail 'there are descriptors left over'
type_in "ls /proc/$normal/fd | wc -l"
