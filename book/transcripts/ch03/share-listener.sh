#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/..
. "$(dirname "$0")/../terminal.bash"
serve_with_node book/node/share-listener.js
echo '$ bash book/scripts/ask-and-count.sh'
bash book/scripts/ask-and-count.sh "$url"
