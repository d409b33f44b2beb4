#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch02-balance
until_log 'special is'
child=$(sed -n 's/^normal is //p' "$work/log")
until_true 5 grep -q '^SigCgt:.*4440$' "/proc/$child/status"
type_in "grep -E '^(State|PPid|Threads|SigCgt)' /proc/$child/status"
