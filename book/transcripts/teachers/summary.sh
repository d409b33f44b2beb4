#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
mkdir -p "$work/ada/exercises/ex01-wait/src"
cp "$root/solutions/sol01-wait/src/solution.rs" "$work/ada/exercises/ex01-wait/src/solution.rs"
cargo run -q -p classroom -- grade --only ex01 --out "$work/grades" "$work/ada" >"$work/said"
sed -E 's/("seconds": )([0-9.]+)/\1~\2/' "$work/grades/ada/summary.json"
