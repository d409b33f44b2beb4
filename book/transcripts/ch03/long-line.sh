#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch03-handles plain_tiny_http
measure "ps -o rss= -p $server | tr -d ' '" 1000 6000
line="(printf 'GET / HTTP/1.1\r\nX: '; head -c 4000000 /dev/zero | tr '\0' x; sleep 3) | bash book/scripts/send-raw.sh 127.0.0.1:1337"
before=$number
echo "\$ $line &"
eval "${line//127.0.0.1:1337/${url#http://}}" 2>/dev/null &
grown() { [ "$(ps -o rss= -p "$server")" -gt $((before + 3800)) ]; }
until_true 15 grown || fail "its memory has not grown"
measure "ps -o rss= -p $server | tr -d ' '" 4800 20000
wait $!
