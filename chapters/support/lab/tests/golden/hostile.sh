# Names and texts that look like lines of strace, and what processes seldom do.
cd "$(mktemp -d)" || exit
mkfifo 'a, b] = 7 <unfinished ...>' 'x" ) = -1 (y'
cat 'a, b] = 7 <unfinished ...>' &
printf '+++ exited with 0 +++\n"\\' >'a, b] = 7 <unfinished ...>'
wait
(sleep 9 & p=$!; kill -STOP "$p"; kill -CONT "$p"; kill -KILL "$p"; wait "$p")
(exec -a 'name <with> [odd] "signs"' sleep 0.02)
trap 'echo trapped' USR1
kill -USR1 $$
exit 3
