#!/usr/bin/env bash
# shellcheck disable=SC2016 # The lines are typed in as they are.
. "$(dirname "$0")/../terminal.bash"
serve ch06-reload --workers 1
until_log 'is ready'
show_log
worker=$(workers "$server")
type_in "kill -STOP $worker"
stopped() { grep -q '^State:.T' "/proc/$worker/status"; }
until_true 5 stopped
echo '$ (curl -s http://127.0.0.1:1337 || echo "curl exits with $?") &'
(curl -s "$url" || echo "curl exits with $?") >"$work/curl" &
curl=$!
waits() { ss -Htn state established "dport = :${url##*:}" | grep -q .; }
until_true 5 waits
type_in "kill $server; sleep 0.5; kill -CONT $worker"
wait "$curl" || true
gone "$server" 8 || fail "the server does not exit"
cat "$work/curl"
show_log
