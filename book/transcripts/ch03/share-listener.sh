#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_with_node book/node/share-listener.js
echo '$ bash book/scripts/ask-and-count.sh'
bash book/scripts/ask-and-count.sh "$url"
