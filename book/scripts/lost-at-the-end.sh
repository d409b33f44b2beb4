#!/usr/bin/env bash
# Asks without pause for 2.5 s. Meanwhile seven of eight workers get SIGTERM:
# bash book/scripts/lost-at-the-end.sh
. "$(dirname "$0")/lib.sh"

ask_without_pause() {
  timeout 2.5 stdbuf -oL curl --silent --parallel --parallel-max 50 \
    --header 'Connection: close' --output /dev/null --write-out '%{exitcode}\n' \
    "$url/?[1-1000000]" \
    >"$work/codes" 2>"$work/progress" || true
}

build ch03-handles
# In some runs no request is lost. Then it tries again.
for _ in {1..5}; do
  start "$program" --port 0 --workers 8
  until_log 'the parent has closed its own'
  mapfile -t pids < <(workers "$server")
  ask_without_pause &
  load=$!
  sleep 0.5
  kill -TERM "${pids[@]:1}"
  wait "$load"

  # 0: answered. 52 and 56: the connection ended without an answer (curl(1)).
  answered=$(grep -cx 0 "$work/codes")
  lost=$(grep -cxE '52|56' "$work/codes" || true)
  echo "~$answered requests were answered, ~$lost were lost"
  ok "seven workers have exited" [ "$(workers "$server" | wc -l)" = 1 ]
  [ "$lost" = 0 ] || exit 0
  kill -TERM "$server"
done
fail "nothing was lost, five times"
