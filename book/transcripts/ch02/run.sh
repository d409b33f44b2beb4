#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch02-balance
until_log 'special is'
show_log
echo '$ bash book/scripts/ask-in-turn.sh'
bash book/scripts/ask-in-turn.sh "$url"
