#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
run_with ch04-events 'signals | head -n 20'
