#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
script lost-at-the-end | tee "$work/shown" | sed '2,$d'
# The last round, in which something was lost.
tail -n 2 "$work/shown"
