#!/usr/bin/env bash
# Chapter 2: one process accepts, two answer in turn. bash book/scripts/ch02-balance.sh
. "$(dirname "$0")/lib.sh"

build ch02-balance
start "$program" --port 0
show_log
normal=$(pid_of normal)

# by NAME PID: how many of the answers came from this child.
by() { grep -c "with $1 priority, running on $2\$" "$work/answers" || true; }
five_each() {
  [ "$(by normal "$(pid_of normal)")" = 5 ] && [ "$(by special "$(pid_of special)")" = 5 ]
}

bash "$root/book/scripts/ask-in-turn.sh" "$url" | tee "$work/answers"
ok "ten in turn: each child has answered five" five_each

bash "$root/book/scripts/ask-at-once.sh" "$url" >"$work/answers"
ok "ten at once: all are answered, five by each child" five_each

show kill -9 "$normal"
until_log "normal $normal was killed by SIGKILL"
until_log 'normal is ' 2
show_log
bash "$root/book/scripts/ask-in-turn.sh" "$url" >"$work/answers"
ok "another child is in its place, and answers" [ "$(pid_of normal)" != "$normal" ]
ok "ten in turn: each child has answered five" five_each

mapfile -t children < <(workers "$server")
show kill -TERM "$server"
all_gone() {
  for pid in "$server" "${children[@]}"; do gone "$pid" 2 || return 1; done
}
ok "the parent and both children have ended" all_gone
ok "the port is free" port_is_free
