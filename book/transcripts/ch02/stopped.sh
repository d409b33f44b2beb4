#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch02-balance >/dev/null
until_log 'special is'
normal=$(pid_of normal)
special=$(pid_of special)
type_in "kill -STOP $normal $special"
echo '$ bash book/scripts/ask-at-once.sh | tail -1 &'
bash book/scripts/ask-at-once.sh "$url" >"$work/answers" &
asking=$!
# Each connection is a socket of the parent, and it has three others.
ten_wait() { [ "$(find "/proc/$server/fd" -lname 'socket:*' 2>/dev/null | wc -l)" = 13 ]; }
until_true 5 ten_wait || fail 'the parent has not accepted all ten'
type_in "ls -l /proc/$server/fd | grep -c socket:"
type_in "kill -CONT $normal $special"
wait "$asking"
tail -1 "$work/answers"
