#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 1
until_log 'is ready'
port=${url##*:}
echo '$ cargo run -q -p ch05-restart; echo "exit status $?"'
"$program" --port "$port" 2>&1 || echo "exit status $?"
show_holders() {
  echo "\$ ss -Hltnp 'sport = :1337' | grep -o '\"[^,]*,pid=[0-9]*' | sort -V"
  ss -Hltnp "sport = :$port" | grep -o '"[^,]*,pid=[0-9]*' | sort -V
}
show_holders
type_in "kill $server"
gone "$server" 6 || fail "the server does not exit"
echo '$ cargo run -q -p ch05-restart -- --workers 1'
start "$program" --port "$port" --workers 1
until_log 'is ready'
show_log
