#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch01-fork-ipc
echo '$ strace -ff -o trace target/debug/ch01-fork-ipc --exec no-such-program'
strace -ff -o "$work/trace" "$program" --exec no-such-program 2>&1 || true
echo "\$ grep 'write.*NOEX' trace.*"
cd "$work"
grep 'write.*NOEX' trace.*
echo "\$ grep -E 'SEQPACKET|recv.*NOEX' trace.*"
grep -E 'SEQPACKET|recv.*NOEX' trace.*
