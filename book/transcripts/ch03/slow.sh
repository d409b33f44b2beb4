#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is typed as it stands.
. "$(dirname "$0")/../terminal.bash"
serve ch03-handles --workers 1
until_log 'the parent has closed its own'
echo '$ bash book/scripts/slow-clients.sh'
bash book/scripts/slow-clients.sh "$url"
type_in 'curl -s --max-time 1 http://127.0.0.1:1337; echo "curl exits with $?"'
echo '$ sleep 3'
sleep 3
type_in 'curl -s --max-time 1 http://127.0.0.1:1337; echo "curl exits with $?"'
