#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
unset RUST_BACKTRACE
serve ch03-handles --workers 2
until_log 'the parent has closed its own'
show_log >/dev/null
type_in "printf 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000000000000000\r\n\r\n' | bash book/scripts/send-raw.sh 127.0.0.1:1337"
until_log 'SIGABRT'
show_log | sed '/^note/d'
