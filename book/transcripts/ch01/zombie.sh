#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
# shellcheck disable=SC2016 # type_in expands it.
echo "\$ sh -c '/bin/true & exec sleep 10' &"
sh -c '/bin/true & exec sleep 10' &
parent=$!
until_true 5 sh -c "ps -o stat= --ppid $parent | grep -q Z"
type_in 'ps -o pid=,stat=,comm= --ppid $!'
kill "$parent"
wait "$parent" || true
