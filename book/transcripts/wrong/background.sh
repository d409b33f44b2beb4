#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
type_in "sh -c 'sleep 1 & sleep 0.5; kill -INT \$!; wait \$!; echo \"exit status \$?\"'"
type_in "sh -c 'env --default-signal=INT sleep 1 & sleep 0.5; kill -INT \$!; wait \$!; echo \"exit status \$?\"'"
