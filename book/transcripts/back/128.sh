#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/../terminal.bash"
type_in "(sh -c 'kill -TERM \$\$'; echo \"exit status \$?\") 2>/dev/null"
type_in 'kill -l 143'
