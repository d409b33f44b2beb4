#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch07-cluster threads processes
crash Exited Signaled
