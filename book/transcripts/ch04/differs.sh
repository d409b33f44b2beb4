#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/../terminal.bash"
type_in "node -e '
  const child = require(\"child_process\").fork(\"book/node/echo-child.js\");
  for (const event of [\"disconnect\", \"exit\", \"close\"])
    child.on(event, () => console.log(event));
  child.disconnect();'"
type_in "node book/node/events.js sh -c 'sleep 1 >/dev/null 2>&1 & exit 7' | tail -n 2"
surrogate="bash -c 'echo \"\\\"\\\\ud800\\\"\" >&\$NODE_CHANNEL_FD'"
type_in "node book/node/events.js $surrogate | grep -E 'error|message'"
run_with ch04-events "watch -- \\
    $surrogate | grep -E 'error|message'"
