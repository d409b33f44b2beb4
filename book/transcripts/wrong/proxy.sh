#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
unset no_proxy NO_PROXY
serve ch05-restart --workers 1 --crash-after 0 >/dev/null
until_log 'is ready'
# No process listens on port 9.
type_in 'export http_proxy=http://127.0.0.1:9'
type_in 'curl -s http://127.0.0.1:1337; echo "exit status $?"'
type_in "curl -s --noproxy '*' http://127.0.0.1:1337"
