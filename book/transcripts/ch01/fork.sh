#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
step ch01-fork-ipc fork
