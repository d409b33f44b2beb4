#!/usr/bin/env bash
# Chapter 7: three ways to share a port, and connections that outlive their workers.
# bash book/scripts/ch07-cluster.sh
. "$(dirname "$0")/lib.sh"

build ch07-cluster

# ask: one request on the connection that is open as descriptor 3. Prints the pid.
ask() {
  printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' >&3
  local line
  while read -r -t 10 line <&3; do
    case $line in *'pid is '*) echo "${line##* }"; return ;; esac
  done
  fail "the connection has ended"
}
all_ended() { local pid; for pid; do ended "$pid" || return 1; done; }

for sharing in shared round-robin reuseport; do
  start "$program" --port 0 --workers 2 --sharing "$sharing"
  until_log 'is ready' 2
  exec 3<>"/dev/tcp/127.0.0.1/${url##*:}"
  first=$(ask)
  ok "$sharing: the connection is kept" [ "$(ask)" = "$first" ]
  mapfile -t old < <(workers "$server")
  kill -HUP "$server"
  ok "$sharing: all workers are replaced" until_true 10 all_ended "${old[@]}"
  second=$(ask)
  ok "$sharing: a new worker answers on the same connection" [ "$second" != "$first" ]
  victim=$(workers "$server" | head -n 1)
  kill -KILL "$victim"
  for _ in {1..20}; do
    curl --silent --max-time 10 "$url" >"$work/answer" || fail "a request is lost"
  done
  ok "$sharing: after kill -9 of a worker nothing is lost" [ -s "$work/answer" ]
  exec 3>&-
  kill -TERM "$server"
  ok "$sharing: SIGTERM ends all processes" gone "$server" 10
done
