#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/..
. "$(dirname "$0")/../terminal.bash"
type_in 'cargo run -q -p classroom -- next'
