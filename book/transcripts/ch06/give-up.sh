#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
cd "$work"
type_in "printf 'workers = 1\n[limits]\ncrashes = 4\n' >site.toml"
type_in "echo \"process.once('message', () => process.exit(7))\" >exits.js"
serve ch06-reload --config site.toml --exec node exits.js
code=0
gone "$server" 15 || fail "the server does not give up"
wait "$server" || code=$?
show_log
[ "$code" = 1 ] || fail "the server exits with $code"
