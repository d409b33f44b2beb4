#!/usr/bin/env bash
# Chapter 6: a server that is started by its first request, and the units for systemd.
# bash book/scripts/ch06-socket.sh
. "$(dirname "$0")/lib.sh"

build ch06-reload
port=$(free_port)
url=http://127.0.0.1:$port

# It listens, and at the first connection it executes the program in its own place.
launch systemd-socket-activate --listen "127.0.0.1:$port" "$program" --workers 2
until_true 15 listens "$port" || fail "systemd-socket-activate listens"
ok "the port is open, and nothing serves" [ -z "$(workers "$server")" ]

# A client that connects and sends before there is a server.
curl -s --max-time 15 "$url" >"$work/answer" &
client=$!
wait "$client" || fail "the client has an answer"
ok "a request from before the start: $(cat "$work/answer")" [ -s "$work/answer" ]
ok "the server has not listened itself" has_said "listening on $url (inherited)" 1
ok "it is the process that listened before" [ "$(workers "$server" | wc -l)" = 2 ]
kill -TERM "$server"
gone "$server" 8 || fail "the server exits"

# The units, with the program in this folder. Before version 253, systemd does not know
# Type=notify-reload.
version=$(systemd-analyze --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')
cp "$root"/book/service/site.{socket,service} "$work"
edits=(-e "s|/usr/local/bin/ch06-reload|$program|")
# shellcheck disable=SC2016 # It is systemd's variable.
older='s/^Type=.*/Type=notify\nExecReload=kill -HUP $MAINPID/'
[ "$version" -ge 253 ] || edits+=(-e "$older")
sed -i "${edits[@]}" "$work/site.service"
systemd-analyze verify "$work"/site.{socket,service} 2>"$work/faults" || true
cat "$work/faults"
ok "systemd finds no fault in the units" [ ! -s "$work/faults" ]
