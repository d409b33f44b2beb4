#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch02-balance >/dev/null
echo '$ bash book/scripts/ask-at-once.sh | sort'
bash book/scripts/ask-at-once.sh "$url" | sort
