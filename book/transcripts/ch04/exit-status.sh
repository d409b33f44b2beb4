#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
step ch04-events exit_status
