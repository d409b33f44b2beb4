#!/usr/bin/env bash
# Kills one worker after another and connects at once, until a connection is lost:
# bash book/scripts/killed-in-accept.sh
. "$(dirname "$0")/lib.sh"

# Whether the server answers. The shell connects by itself: to start a curl takes too long.
answers() {
  exec {client}<>"/dev/tcp/127.0.0.1/${url##*:}" || return 1
  printf 'GET / HTTP/1.0\r\n\r\n' >&"$client"
  timeout 5 cat <&"$client" >"$work/answer"
  exec {client}>&-
  grep -q '^handled by child' "$work/answer"
}

build ch03-handles
killed=0
for _ in {1..20}; do
  start "$program" --port 0 --workers 50
  until_log 'the parent has closed its own'
  for pid in $(workers "$server" | head -n 49); do
    kill -KILL "$pid"
    killed=$((killed + 1))
    if ! answers 2>"$work/error"; then
      echo "~$killed workers were killed until one has taken a connection with it"
      exit
    fi
  done
  kill -TERM "$server"
done
fail "no connection was lost"
