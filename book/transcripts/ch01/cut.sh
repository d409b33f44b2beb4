#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
type_in "printf 'first message' | dd bs=8 count=1 status=none; echo"
