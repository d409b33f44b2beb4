#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch03-handles --workers 2
until_log 'every worker has the listener'
for worker in $(workers "$server"); do
  type_in "ls -l /proc/$worker/fd | grep -o '[0-9]* -> socket.*'"
done
