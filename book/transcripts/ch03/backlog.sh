#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch03-handles shared_listener
two() { [ "$(workers "$server" | wc -l)" = 2 ]; }
until_true 5 two
mapfile -t pids < <(workers "$server")
port=${url##*:}
stopped() { grep -q '^State:.*stopped' "/proc/$1/status"; }
for pid in "${pids[@]}"; do
  type_in "kill -STOP $pid"
  until_true 5 stopped "$pid" || fail "$pid goes on"
done
echo '$ for n in 1 2 3; do curl -s http://127.0.0.1:1337 & done'
clients=()
for n in 1 2 3; do
  curl --silent --max-time 10 "$url" >"$work/answer.$n" &
  clients+=($!)
done
waiting() { ss -Hltn "sport = :$port" | awk '{ print $2 }'; }
three_wait() { [ "$(waiting)" = 3 ]; }
until_true 5 three_wait || fail "no client waits in the backlog"
echo "\$ ss -Hltn 'sport = :1337'"
ss -Hltn "sport = :$port" | sed -E 's/ +/ /g; s/ $//'
type_in "kill -KILL ${pids[0]}"
type_in "kill -CONT ${pids[1]}"
wait "${clients[@]}"
cat "$work"/answer.*
[ "$(grep -cx ".* ${pids[1]}" "$work"/answer.* | grep -c ':1$')" = 3 ] || fail "not all were answered"
