#!/usr/bin/env bash
# shellcheck disable=SC2016 # It is expanded when it runs.
. "$(dirname "$0")/../terminal.bash"
echo '$ cargo run -q -p ch04-events --example exit_status &'
build_step ch04-events exit_status
launch "$program"
has_zombies() { [ "$(pgrep -c -r Z -P "$server")" = 3 ]; }
until_true 2 has_zombies
type_in 'ps -o pid=,stat=,comm= --ppid $!'
gone "$server" 10
show_log
