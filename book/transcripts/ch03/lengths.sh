#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve_step ch03-handles plain_tiny_http
type_in "printf 'POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 28\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n' | bash book/scripts/send-raw.sh 127.0.0.1:1337"
