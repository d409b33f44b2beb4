#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch03-handles --workers 2
until_log 'the parent has closed its own'
# Which of the two is ready first differs.
grep -v -e ready -e closed "$work/log"
grep ready "$work/log" | sort -k 2n
grep closed "$work/log"
# It goes to sleep behind its last line.
sleep 0.3
woken() { sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "/proc/$server/status"; }
before=$(woken)
type_in "grep ^voluntary /proc/$server/status" | sed -E 's/([0-9]+)$/~\1/'
type_in "curl -s -H 'Connection: close' 'http://127.0.0.1:1337/?[1-1000]' | grep -c handled"
type_in "grep ^voluntary /proc/$server/status" | sed -E 's/([0-9]+)$/~\1/'
[ "$(woken)" = "$before" ] || fail "the parent was woken"
press_ctrl_c
