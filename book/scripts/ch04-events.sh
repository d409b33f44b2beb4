#!/usr/bin/env bash
# Chapter 4: the events of a child. bash book/scripts/ch04-events.sh
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/lib.sh"

build ch04-events

# watched WHAT EVENTS [FLAG...] -- PROGRAM ARG...: expects these events, and no other.
watched() {
  local what=$1 expected=$2 events
  shift 2
  "$program" watch "$@" >"$work/out" 2>"$work/err"
  events=$(sed -E 's/.*"event":"([a-z]+)".*/\1/' "$work/out" | paste -sd' ')
  ok "$what: $events" [ "$events" = "$expected" ]
}
# last TEXT: whether the last event contains this text.
last() { tail -n 1 "$work/out" | grep -qF "$1"; }

watched "a child exits" "spawn disconnect exit close" -- sh -c 'exit 7'
ok "  with code 7, and no signal" last '"code":7,"signal":null'

watched "a child is killed" "spawn disconnect exit close" --kill TERM --after 200 -- sleep 60
ok "  by SIGTERM, and has no code" last '"code":null,"signal":"SIGTERM"'

watched "a child traps SIGTERM" "spawn message disconnect exit close" --kill TERM -- \
  bash -c 'trap "exit 1" TERM; echo 1 >&"$NODE_CHANNEL_FD"; while :; do sleep 0.05; done'
ok "  and chooses its exit code" last '"code":1,"signal":null'

watched "there is no such program" "error disconnect close" -- no-such-program
ok "  which is ENOENT, number 2" last '"code":-2,"signal":null'

watched "the parent disconnects" "spawn disconnect exit close" --disconnect --after 200 -- \
  bash -c 'read -r end <&"$NODE_CHANNEL_FD"; exit 4'
ok "  and the child reads EOF" last '"code":4,"signal":null'

watched "a line is not JSON" "spawn error message disconnect exit close" -- \
  bash -c 'echo garbage >&"$NODE_CHANNEL_FD"; echo 1 >&"$NODE_CHANNEL_FD"'

# The child exits. Its own child holds its output, until the pipe `hold` is closed here.
mkfifo "$work/hold"
"$program" watch -- bash -c 'exec {NODE_CHANNEL_FD}>&-; cat <"$0" & exit 5' "$work/hold" >"$work/out" &
watching=$!
started+=("$watching")
exec {hold}<>"$work/hold"
has_exit() { grep -q '"exit","code":5' "$work/out"; }
open() { ! last '"event":"close"'; }
no_child() { [ -z "$(ps -o pid= --ppid "$watching")" ]; }
ok "a helper holds the output: exit is reported at once" until_true 5 has_exit
ok "  close is not" open
ok "  and the child is no zombie" no_child
exec {hold}>&-
ok "  close is reported when the helper exits" until_true 5 last '"event":"close","code":5'
ok "  and then watch exits" gone "$watching" 5

"$program" signals | awk '{ print $1, $2 }' >"$work/out"
by_shell() { kill -l | grep -oE '[0-9]+\) SIG[A-Z0-9+-]+' | tr -d ')'; }
ok "the table of signals agrees with kill -l" diff "$work/out" <(by_shell)
