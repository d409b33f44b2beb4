#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch02-balance
until_log 'special is'
child=$(pid_of normal)
# The child executes the program after its process id is printed, and then has its channel once.
has_channel() { [ "$(ss -Hxp | grep -c "pid=$child,")" = 1 ]; }
until_true 5 has_channel
type_in "ss -Hxp | grep pid=$child, | sed -E 's/ +/ /g; s/ $//'"
inode=$(ss -Hxp | grep "pid=$child," | tr -s ' ' | cut -d' ' -f6)
type_in "ss -Hxp | grep '\* $inode users' | sed -E 's/ +/ /g; s/ $//'"
