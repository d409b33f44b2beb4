#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"

# The recording is about descriptors: whatever this session has inherited, the server must not.
for each in /proc/self/fd/*; do
  number=${each##*/}
  [ "$number" -le 2 ] || [ "$number" = 255 ] || eval "exec $number>&-"
done
serve ch02-balance
until_log 'special is'
show_log
normal=$(pid_of normal)
show_sockets() { type_in "ls -lv /proc/$1/fd | grep -o '[0-9]* -> socket.*'"; }

sockets() { find "/proc/$1/fd" -lname 'socket:*' 2>/dev/null | wc -l; }
has_sockets() { [ "$(sockets "$1")" = "$2" ]; }
before=$(sockets "$server")
type_in "kill -STOP $normal"
type_in 'exec 9<>/dev/tcp/127.0.0.1/1337'
until_true 5 has_sockets "$server" $((before + 1)) || fail 'the parent has not accepted'
show_sockets "$server"
show_sockets "$normal"
type_in "kill -CONT $normal"
until_true 5 has_sockets "$normal" 2 || fail 'the child has no connection'
until_true 5 has_sockets "$server" "$before" || fail 'the parent still has it'
show_sockets "$server"
show_sockets "$normal"
exec 9<&-
