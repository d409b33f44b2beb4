#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/..
. "$(dirname "$0")/../terminal.bash"
# Presses h, and then q, each when what stands before it is on the screen.
press_keys() {
  until_true 60 grep -qs 'q quit' "$work/screen" && printf h
  until_true 10 grep -qs 'Hint 1' "$work/screen"
  printf q
}
echo '$ cargo run -q -p classroom -- watch'
cargo build --quiet -p classroom
press_keys | "$target/debug/classroom" watch >"$work/screen"
grep -v '^checking' "$work/screen" | cat -s
