#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
# script(1) makes a terminal; what is written into the pipe is typed there.
echo '$ bash book/scripts/two-processes.sh'
mkfifo "$work/keys"
: >"$work/log"
env --default-signal=INT script -qec 'bash book/scripts/two-processes.sh' /dev/null <"$work/keys" >>"$work/log" 2>&1 &
terminal=$!
started+=("$terminal")
exec {keys}<>"$work/keys"
until_log 'both are ready'
printf '\003' >&"$keys"
gone "$terminal" 5
tr -d '\r' <"$work/log"
