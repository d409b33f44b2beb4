#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/..
. "$(dirname "$0")/../terminal.bash"
type_in '(sleep 1; echo "at last") | dd status=none'
type_in '(sleep 1; echo "at last") | dd status=none iflag=nonblock'
