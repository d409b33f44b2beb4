#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
type_in 'cargo run -q -p ch01-fork-ipc --example exec -- no-such-program 2>&1 | head -n 1'
