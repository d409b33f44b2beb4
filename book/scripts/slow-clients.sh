#!/usr/bin/env bash
# Clients that promise a body of 2,000 bytes and do not send it, for some seconds:
# bash book/scripts/slow-clients.sh [URL] [CLIENTS] [SECONDS]
set -euo pipefail
url=${1:-http://127.0.0.1:1337}
clients=${2:-8}
seconds=${3:-3}

# To write to /dev/tcp/HOST/PORT is to open a connection: bash(1).
for _ in $(seq "$clients"); do
  {
    printf 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n'
    sleep "$seconds"
  } >"/dev/tcp/127.0.0.1/${url##*:}" &
  sleep 0.1
done
echo "$clients clients have sent half a request"
