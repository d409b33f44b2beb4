#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
type_in 'node book/node/fork.js'
