#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch03-handles --workers 1
until_log 'the parent has closed its own'
pid=$(workers "$server")
measure "ps -o nlwp= -p $pid | tr -d ' '" 10 20
echo '$ bash book/scripts/silent-clients.sh 127.0.0.1:1337 200 &'
bash book/scripts/silent-clients.sh "${url#http://}" 200 &
sleep 1
measure "ps -o nlwp= -p $pid | tr -d ' '" 60 250
wait $!
