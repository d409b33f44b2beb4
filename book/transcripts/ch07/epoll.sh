#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch07-cluster epoll
show_log
type_in 'curl -s http://127.0.0.1:1337 http://127.0.0.1:1337 http://127.0.0.1:1337'
one() { [ "$(workers "$server" | wc -l)" = 1 ]; }
until_true 5 one
worker=$(workers "$server")
type_in 'exec 3<>/dev/tcp/127.0.0.1/1337'
type_in "printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' >&3; head -n 4 <&3" |
  sed -E 's/^(Content-Length: )/\1~/' # it depends on the process id
type_in "kill $worker"
until_log 'Signaled'
show_log
type_in "cat <&3; echo 'the end of the stream'"
type_in 'curl -s http://127.0.0.1:1337'
exec 3>&-
