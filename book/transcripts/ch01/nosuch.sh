#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
type_in 'cargo run -q -p ch01-fork-ipc -- --exec no-such-program; echo "exit status $?"'
