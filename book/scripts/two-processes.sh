#!/usr/bin/env bash
# A shell and its child, both in the foreground of a terminal. bash book/scripts/two-processes.sh
trap 'echo "parent: got SIGINT"' INT
(
  trap 'echo "child: got SIGINT"; exit' INT
  echo "both are ready; press Ctrl-C"
  sleep 60
)
