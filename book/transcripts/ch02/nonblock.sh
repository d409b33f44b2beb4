#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
type_in '(sleep 1; echo "at last") | dd status=none'
type_in '(sleep 1; echo "at last") | dd status=none iflag=nonblock'
