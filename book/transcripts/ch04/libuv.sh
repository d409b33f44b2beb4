#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
echo "\$ strace -f -o trace.txt -e trace=read,write,rt_sigreturn node book/node/sigterm.js"
strace -f -o "$work/trace.txt" -e trace=read,write,rt_sigreturn node book/node/sigterm.js || true
echo "\$ grep -A 4 -e '--- SIGTERM' trace.txt | sed 's/^[0-9]* *//; s/ {.*//; s/(.*//'"
grep -A 4 -e '--- SIGTERM' "$work/trace.txt" | sed 's/^[0-9]* *//; s/ {.*//; s/(.*//'
