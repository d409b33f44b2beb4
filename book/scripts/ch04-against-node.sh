#!/usr/bin/env bash
# The same children, watched by chapter 4 and by Node. bash book/scripts/ch04-against-node.sh
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/lib.sh"

build ch04-events

# Process ids differ, and so do the words of an error. Its code does not.
masked() { sed -E 's/"pid":[0-9]+/"pid":0/; /^\{"event":"error"/s/,"message":.*/}/'; }

# same WHAT PROGRAM ARG...: runs the program as a child of both. They have to say the same of it.
same() {
  local what=$1 events
  shift
  "$program" watch -- "$@" 2>"$work/ours.err" | masked >"$work/ours"
  node "$root/book/node/events.js" "$@" 2>"$work/node.err" | masked >"$work/node"
  events=$(sed -E 's/.*"event":"([a-z]+)".*/\1/' "$work/ours" | paste -sd' ')
  ok "$what: $events" diff "$work/ours" "$work/node"
  ok "  and it has printed the same" diff "$work/ours.err" "$work/node.err"
}

same "it ends with code 7" sh -c 'exit 7'
same "it kills itself with SIGTERM" sh -c 'kill -TERM $$'
same "SIGKILL" sh -c 'kill -KILL $$'
same "there is no such program" no-such-program
same "two messages" bash -c 'echo 1 >&"$NODE_CHANNEL_FD"; echo "\"two\"" >&"$NODE_CHANNEL_FD"'
same "it closes the channel, and ends later" bash -c 'exec {NODE_CHANNEL_FD}>&-; sleep 0.3; exit 3'
same "something prints after its end" bash -c 'exec {NODE_CHANNEL_FD}>&-; (sleep 0.3; echo late) & exit 5'
