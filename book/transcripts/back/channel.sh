#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch02-balance
until_log 'special is'
child=$(sed -n 's/^normal is //p' "$work/log")
until_true 5 grep -q '^SigCgt:.*4440$' "/proc/$child/status"
type_in "ss -Hxp | grep pid=$child, | sed -E 's/ +/ /g; s/ $//'"
inode=$(ss -Hxp | grep "pid=$child," | tr -s ' ' | cut -d' ' -f6)
type_in "ss -Hxp | grep '\* $inode users' | sed -E 's/ +/ /g; s/ $//'"
