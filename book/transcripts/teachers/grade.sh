#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR/..
. "$(dirname "$0")/../terminal.bash"

# Two students: one has solved the first exercise, one has handed in the stub.
hand_in() {
  mkdir -p "$work/$1/exercises/ex01-wait/src"
  cp "$2" "$work/$1/exercises/ex01-wait/src/solution.rs"
}
hand_in ada "$root/solutions/sol01-wait/src/solution.rs"
hand_in ben "$root/exercises/ex01-wait/src/solution.rs"

echo '$ cargo run -q -p classroom -- grade --only ex01 ada ben'
cargo run -q -p classroom -- grade --only ex01 --out "$work/grades" "$work/ada" "$work/ben" |
  sed -E "s|$work/||; s/([0-9]+) s left/~\1 s left/"
type_in "ls $work/grades/ada" | sed "s|$work/||"
