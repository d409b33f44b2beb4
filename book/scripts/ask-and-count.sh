#!/usr/bin/env bash
# Asks a server many times at once, and counts the answers that arrive within a second:
# bash book/scripts/ask-and-count.sh [URL] [TIMES]
set -euo pipefail
url=${1:-http://127.0.0.1:1337}
times=${2:-20}

ask() {
  if curl --silent --max-time 1 --output /dev/null "$url"; then echo answered; else echo hangs; fi
}

answers=$(for _ in $(seq "$times"); do ask & done | cat)
echo "answered: $(grep -c answered <<<"$answers" || true)"
echo "no answer: $(grep -c hangs <<<"$answers" || true)"
