#!/usr/bin/env bash
# Asks a server ten times, one after another:
# bash book/scripts/ask-in-turn.sh [URL]
set -euo pipefail
url=${1:-http://127.0.0.1:1337}
export no_proxy=127.0.0.1,localhost

answered=0
for _ in 1 2 3 4 5 6 7 8 9 10; do
  # The server of chapter 2 sends no header: curl accepts that with --http0.9 only.
  if answer=$(curl --silent --http0.9 --max-time 10 "$url"); then
    answered=$((answered + 1))
    echo "received: $answer"
  else
    echo "no answer"
  fi
done
echo "answered: $answered of 10"
[ "$answered" = 10 ]
