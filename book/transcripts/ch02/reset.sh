#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"

# slow REQUEST LEAST MOST: what the client receives has to be between these.
slow() {
  echo "\$ bash book/scripts/slow-client.sh '$1'"
  bash book/scripts/slow-client.sh "$1" "$url" 2>&1 | tee "$work/slow"
  local received
  received=$(sed -n 's/received ~\([0-9]*\) bytes/\1/p' "$work/slow")
  if [ "$received" -lt "$2" ] || [ "$received" -gt "$3" ]; then fail "it has received $received bytes"; fi
}

serve_with_node book/node/long-reply.js close
show_log
slow 'GET /' 0 999999
slow '' 1000000 1000000
