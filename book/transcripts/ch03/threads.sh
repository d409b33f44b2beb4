#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch03-handles plain_tiny_http
measure "ps -o nlwp= -p $server | tr -d ' '" 4 10
echo '$ bash book/scripts/silent-clients.sh 127.0.0.1:1337 200 &'
said=$(mktemp)
bash book/scripts/silent-clients.sh "${url#http://}" 200 >"$said" &
until grep connected "$said"; do sleep 0.1; done
sleep 0.3
measure "ps -o nlwp= -p $server | tr -d ' '" 50 250
wait $!
rm "$said"
