#!/usr/bin/env bash
# Sends one request, and prints how many workers woke up for it:
# bash book/scripts/count-woken.sh PARENT [URL]
set -euo pipefail
parent=$1
url=${2:-http://127.0.0.1:1337}

# How often the threads of a process have blocked (proc(5)).
waits() {
  cat "/proc/$1/task"/*/status | awk '/^voluntary/ { sum += $2 } END { print sum }'
}

declare -A before
for worker in $(ps -o pid= --ppid "$parent"); do
  before[$worker]=$(waits "$worker")
done
curl --silent --output /dev/null "$url"
sleep 0.2
woken=0
for worker in "${!before[@]}"; do
  [ "$(waits "$worker")" = "${before[$worker]}" ] || woken=$((woken + 1))
done
echo "$woken of ${#before[@]} workers woke up"
