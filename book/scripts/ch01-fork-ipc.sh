#!/usr/bin/env bash
# Chapter 1: two children, a channel to each. bash book/scripts/ch01-fork-ipc.sh
. "$(dirname "$0")/lib.sh"

build ch01-fork-ipc
"$program" | tee "$work/out"

said() { grep -qE "$1" "$work/out"; }
ok "two children were greeted, and answered" [ "$(grep -c ': from ' "$work/out")" = 2 ]
ok "each answered with what it was sent" said 'from .*"made by":"fork \+ exec"'
ok "both ended by themselves, with code 0" [ "$(grep -c 'exited with code 0$' "$work/out")" = 2 ]

# Each child's process id is in the output. None of them is alive now, not even as a zombie.
left_behind() {
  sed -n 's/.* child \([0-9]*\) exited.*/\1/p' "$work/out" | while read -r pid; do
    [ ! -e "/proc/$pid" ] || echo "$pid"
  done
}
ok "nothing is left of them" [ -z "$(left_behind)" ]

refused=0
"$program" worker >"$work/log" 2>&1 || refused=$?
ok "a worker without a channel says so, and ends with 1" [ "$refused" = 1 ]
