#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch02-balance
until_log 'special is'
woken() { sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "/proc/$server/status"; }
before=$(woken)
type_in "grep ^voluntary /proc/$server/status" | sed -E 's/([0-9]+)$/~\1/'
type_in "curl -s --http0.9 'http://127.0.0.1:1337/?[1-1000]' | grep -o 'with [a-z]* priority' | sort | uniq -c"
type_in "grep ^voluntary /proc/$server/status" | sed -E 's/([0-9]+)$/~\1/'
times=$(($(woken) - before))
if [ "$times" -lt 1000 ] || [ "$times" -gt 2500 ]; then fail "the parent was woken $times times"; fi
