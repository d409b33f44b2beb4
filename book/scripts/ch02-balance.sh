#!/usr/bin/env bash
# Chapter 2: one process accepts, two answer in turn:
# bash book/scripts/ch02-balance.sh
. "$(dirname "$0")/lib.sh"

build ch02-balance
start "$program" --port 0
until_log 'special is'
show_log
normal=$(pid_of normal)
special=$(pid_of special)

# by NAME: how many of the answers came from this child.
by() {
  grep -c "with $1 priority, running on $(pid_of "$1")\$" "$work/answers" || true
}
five_each() { [ "$(by normal)" = 5 ] && [ "$(by special)" = 5 ]; }

bash "$root/book/scripts/ask-in-turn.sh" "$url" | tee "$work/answers"
ok "ten in turn: each child has answered five" five_each

bash "$root/book/scripts/ask-at-once.sh" "$url" >"$work/answers"
ok "ten at once: all are answered, five by each child" five_each

show kill -9 "$normal"
until_log "normal $normal was killed by SIGKILL"
show_log
bash "$root/book/scripts/ask-in-turn.sh" "$url" >"$work/answers"
ok "ten in turn: the other child has answered all" [ "$(by special)" = 10 ]

show kill -TERM "$server"
both_gone() { gone "$server" 2 && gone "$special" 2; }
ok "the parent and its last child have exited" both_gone
ok "the port is free" port_is_free
