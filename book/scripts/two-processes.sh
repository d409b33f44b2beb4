#!/usr/bin/env bash
# A shell and its child, both in the foreground of a terminal. bash book/scripts/two-processes.sh
trap 'echo "parent: I was sent SIGINT"' INT
(
  trap 'echo "child: I was sent SIGINT"; exit' INT
  echo "both wait; press Ctrl-C"
  sleep 60
)
