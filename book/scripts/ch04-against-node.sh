#!/usr/bin/env bash
# Compares the events of chapter 4 with Node's. bash book/scripts/ch04-against-node.sh
# shellcheck disable=SC2016 # It is for the child to expand.
. "$(dirname "$0")/lib.sh"

build ch04-events

# Process ids differ, and the message of an error does. Its code does not.
masked() { sed -E 's/"pid":[0-9]+/"pid":0/; /^\{"event":"error"/s/,"message":.*/}/'; }

# same WHAT PROGRAM ARG...: runs the program under both, and compares the events.
same() {
  local what=$1 events
  shift
  "$program" watch -- "$@" 2>"$work/ours.err" | masked >"$work/ours"
  node "$root/book/node/events.js" "$@" 2>"$work/node.err" | masked >"$work/node"
  events=$(sed -E 's/.*"event":"([a-z]+)".*/\1/' "$work/ours" | paste -sd' ')
  ok "$what: $events" diff "$work/ours" "$work/node"
  ok "  and the same output" diff "$work/ours.err" "$work/node.err"
}

same "it exits with code 7" sh -c 'exit 7'
same "it kills itself with SIGTERM" sh -c 'kill -TERM $$'
same "SIGKILL" sh -c 'kill -KILL $$'
same "there is no such program" no-such-program
same "two messages" sh -c 'printf "1\n[2]\n" >&"$NODE_CHANNEL_FD"'
same "it closes the channel and exits later" \
  bash -c 'exec {NODE_CHANNEL_FD}>&-; sleep 0.3; exit 3'
same "its own child prints after its exit" \
  bash -c 'exec {NODE_CHANNEL_FD}>&-; (sleep 0.3; echo late) & exit 5'
