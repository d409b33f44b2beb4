#!/usr/bin/env bash
# A client that reads the reply only half a second after it has asked:
#   bash book/scripts/slow-client.sh REQUEST [URL]
set -euo pipefail
request=$1
url=${2:-http://127.0.0.1:1337}

# For a file of this name, bash opens a TCP connection.
exec 9<>"/dev/tcp/127.0.0.1/${url##*:}"
printf '%s' "$request" >&9
sleep 0.5
received=$(timeout 5 cat <&9 | wc -c) || true
echo "received ~$received bytes"
