#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch03-handles --workers 2
until_log 'every worker has the listener'
echo "\$ ss -Hltnp 'sport = :1337' | sed -E 's/ +/ /g; s/ \$//'"
ss -Hltnp "sport = :${url##*:}" | sed -E 's/ +/ /g; s/ $//'
