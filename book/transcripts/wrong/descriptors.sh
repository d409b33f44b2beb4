#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
build ch03-handles
echo '$ (ulimit -n 20; cargo run -q -p ch03-handles -- --workers 16) 2>&1 | tail -n 1'
(ulimit -n 20 && exec "$program" --port 0 --workers 16) 2>&1 | tail -n 1 |
  sed -E 's#/[^ ]*/debug/#/home/you/one-port/target/debug/#' || true
