#!/usr/bin/env bash
# Chapter 1: two children, a channel to each. bash book/scripts/ch01-fork-ipc.sh
. "$(dirname "$0")/lib.sh"

build ch01-fork-ipc
"$program" | tee "$work/out"

said() { grep -qE "$1" "$work/out"; }
said_twice() { [ "$(grep -cE "$1" "$work/out")" = 2 ]; }
ok "two children were greeted, and answered" said_twice ': from '
ok "each answered with what it was sent" said 'from .*"made by":"fork \+ exec"'
ok "both exited by themselves, with code 0" said_twice 'exited with code 0$'

# The process ids are in the output. No such process exists now, not even a zombie.
left_behind() {
  sed -n 's/.* child \([0-9]*\) exited.*/\1/p' "$work/out" | while read -r pid; do
    [ ! -e "/proc/$pid" ] || echo "$pid"
  done
}
ok "no child is left" [ -z "$(left_behind)" ]

refused=0
"$program" worker >"$work/log" 2>&1 || refused=$?
ok "a worker without a channel says so, and exits with 1" [ "$refused" = 1 ]
