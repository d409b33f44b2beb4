#!/usr/bin/env bash
# Chapter 3: two workers accept by themselves. bash book/scripts/ch03-handles.sh
. "$(dirname "$0")/lib.sh"

build ch03-handles
start "$program" --port 0 --workers 2
until_log 'the parent has closed its own'
mapfile -t pids < <(workers "$server")
ok "two workers have started" [ "${#pids[@]}" = 2 ]

# The kernel's table of TCP sockets (proc(5)): 0A is LISTEN, and the tenth field is
# the number of the socket. In /proc/PID/fd a descriptor of it is a link to
# socket:[NUMBER].
port=$(printf '%04X' "${url##*:}")
inode=$(awk -v port=":$port" '$2 ~ port && $4 == "0A" { print $10 }' /proc/net/tcp)
holds_listener() { readlink "/proc/$1/fd/"* | grep -qxF "socket:[$inode]"; }
does_not_hold_listener() { ! holds_listener "$1"; }
ok "the first has the listener" holds_listener "${pids[0]}"
ok "the second has it too" holds_listener "${pids[1]}"
ok "the parent has it no more" does_not_hold_listener "$server"

ask() { curl --silent --max-time 5 "$url" >>"$work/answers"; }
for _ in {1..20}; do ask; done
answers_of() { grep -c "^handled by child, pid is $1" "$work/answers"; }
ok "20 requests, 20 answers" [ "$(answers_of '')" = 20 ]
answering() { sort -u "$work/answers" | grep -c '^handled'; }
all_answer() { ask && [ "$(answering)" = 2 ]; }
ok "both workers answer" until_true 10 all_answer

kill -KILL "${pids[0]}"
until_log "worker ${pids[0]} was killed by SIGKILL; it is not replaced"
: >"$work/answers"
for _ in {1..10}; do ask; done
ok "one is killed: the other answers 10 of 10" [ "$(answers_of "${pids[1]}")" = 10 ]

kill -TERM "$server"
ok "SIGTERM ends the parent" gone "$server" 5
ok "its worker follows" gone "${pids[1]}" 5
ok "the port is free" port_is_free
