#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
echo "\$ sh -c 'true & exec sleep 2' &"
sh -c 'true & exec sleep 2' &
parent=$!
until_true 5 sh -c "ps -o stat= --ppid $parent | grep -q Z"
type_in "ps -o pid=,stat=,comm= --ppid $parent"
wait "$parent"
