#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch05-restart
try() {
  printf '$ %s; echo "exit status $?"\n' "cargo run -q -p ch05-restart -- $1 $2"
  status=0
  # shellcheck disable=SC2086 # Each word of the line is a word.
  "$program" $1 >"$work/out" 2>&1 || status=$?
  echo "exit status $status"
}
try --help '>/dev/null'
try '--addr 192.0.2.1' '2>/dev/null'
try --wrong '2>/dev/null'
type_in "sh -c 'sleep 1 & kill -TERM \$!; wait \$!; echo \"exit status \$?\"' 2>/dev/null"
