#!/usr/bin/env bash
# Chapter 5: each response crashes a worker, and no request is lost.
# bash book/scripts/ch05-restart.sh
. "$(dirname "$0")/lib.sh"

build ch05-restart
start "$program" --port 0 --workers 2

# How many workers serve, as the log tells: they got ready, and do not drain.
count() { grep -c -- "$1" "$work/log" || true; }
gone_workers() { echo $(($(count ' drains: ') + $(count ' was killed by '))); }
serving() { echo $(($(count ' is ready$') - $(gone_workers))); }
all_ended() { local pid; for pid; do ended "$pid" || return 1; done; }
full() { [ "$(serving)" = 2 ] && [ "$(workers "$server" | wc -l)" = 2 ]; }
until_true 5 full || fail "two workers get ready"

for _ in {1..20}; do curl --silent --max-time 10 "$url" >>"$work/in-turn" || true; done
responses=$(grep -c '^handled' "$work/in-turn")
different=$(sort -u "$work/in-turn" | wc -l)
ok "20 requests, one after another: 20 responses" [ "$responses" = 20 ]
ok "20 different workers gave them, and each has crashed" [ "$different" = 20 ]

bash "$root/book/scripts/ask-at-once.sh" "$url" >"$work/at-once" || true
ok "ten at once: ten responses" grep -q 'answered: 10 of 10' "$work/at-once"

until_true 5 full || fail "there are two workers again"
mapfile -t victims < <(workers "$server")
kill -KILL "${victims[@]}"
ok "kill -9 of all workers: the next request is answered" \
  curl --silent --max-time 10 --output "$work/answer" "$url"
ok "two workers serve again" until_true 5 full
ok "and the killed workers are gone" all_ended "${victims[@]}"

# A client that has sent half a request when the server is told to end.
exec 3<>"/dev/tcp/127.0.0.1/${url##*:}"
printf 'GET / HTTP/1.1\r\nHo' >&3
until_true 5 all_accepted "${url##*:}" || fail "a worker accepts the connection"
mapfile -t family < <(workers "$server")
kill -TERM "$server"
until_log 'got SIGTERM'
printf 'st: localhost\r\n\r\n' >&3
ok "SIGTERM in the middle of a request: it is answered" grep -q '^handled by child' <&3
exec 3>&-

code=0
gone "$server" 8 || fail "the server exits"
wait "$server" || code=$?
ok "then the server exits with code 0" [ "$code" = 0 ]
ok "no worker is left" all_ended "${family[@]}"
ok "the port is free" port_is_free

# A master that can do nothing any more.
start "$program" --port 0 --workers 2
until_true 5 full || fail "two workers get ready"
mapfile -t family < <(workers "$server")
# Bash reports the death of a background job. That line is not wanted here.
{ kill -KILL "$server"; wait "$server" || true; } 2>/dev/null
ok "kill -9 of the master: its workers exit too" until_true 3 all_ended "${family[@]}"
ok "and the port is free" port_is_free
