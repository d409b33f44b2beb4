#!/usr/bin/env bash
# Sends its standard input as it is, and prints the first line of each response that
# arrives within a second:
# printf 'GET / HTTP/1.0\r\n\r\n' | bash book/scripts/send-raw.sh 127.0.0.1:1337
set -euo pipefail
address=$1

# For a file of this name, bash opens a TCP connection.
exec 3<>"/dev/tcp/${address%:*}/${address##*:}"
cat >&3
timeout 1 cat <&3 | tr -d '\r' | grep '^HTTP' || true
