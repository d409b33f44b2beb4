#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
script ch01-fork-ipc
