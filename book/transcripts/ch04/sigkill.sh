#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
type_in "node -e 'process.on(\"SIGKILL\", () => {})' 2>&1 | grep ^Error"
