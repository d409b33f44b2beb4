#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch02-balance
until_log 'special is'
type_in "ps --forest -o pid=,stat=,comm= -p $server --ppid $server"
echo "\$ pstree -pA $server"
# The second line begins below the end of a process id, which has more digits than the one that is shown.
pstree -pA "$server" | sed -E "s/^ +/$(printf '%19s' '')/"
