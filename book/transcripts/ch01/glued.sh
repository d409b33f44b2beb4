#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
type_in "(printf '{\"n\":1}'; printf '{\"n\":2}') | (sleep 0.2; dd bs=4096 count=1 status=none); echo"
type_in "printf '{\"n\":1}' | dd bs=4 count=1 status=none; echo"
