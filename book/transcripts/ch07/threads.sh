#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch07-cluster threads
# shellcheck disable=SC2119 # It prints nothing after a crash.
crash
