# shellcheck shell=bash
# What the scripts of this book share. Each begins with: . "$(dirname "$0")/lib.sh"

set -euo pipefail

# A proxy that the environment names is not for servers on this machine.
export no_proxy=127.0.0.1,localhost

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
started=()
seen=0

# Ends what was started, whatever happens: politely, and after 6 s for good. Some servers in this book
# leave their workers behind: those are ended too.
clean_up() {
  local status=$? pid stray strays=()
  trap - EXIT
  for pid in "${started[@]}"; do
    for stray in $(workers "$pid" || true); do strays+=("$stray $(start_of "$stray")"); done
  done
  for pid in "${started[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do
    gone "$pid" 6 || kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  for stray in "${strays[@]}"; do
    pid=${stray% *}
    [ "$(start_of "$pid")" != "${stray#* }" ] || kill -KILL "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# start_of PID: when the process was started. Its number can be another's later (proc_pid_stat(5)).
start_of() { cut -d ' ' -f 22 "/proc/$1/stat" 2>/dev/null || true; }

# until_true SECONDS COMMAND...: repeats the command until it succeeds; fails when the time is up.
until_true() {
  local end=$((SECONDS + $1 + 1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}

# gone PID SECONDS: waits until the process has ended. One that nobody has reaped yet has ended too.
gone() { until_true "$2" ended "$1"; }
ended() { ! grep -q '^State:[[:space:]]*[^Z[:space:]]' "/proc/$1/status" 2>/dev/null; }

# build CHAPTER: builds its program, and puts the path of it into $program.
build() {
  cargo build --quiet --manifest-path "$root/Cargo.toml" -p "$1"
  # shellcheck disable=SC2034 # The scripts use it.
  program=${CARGO_TARGET_DIR:-$root/target}/debug/$1
}

# start COMMAND...: starts a server, waits until it listens, and puts its process id into $server and
# its address into $url. A shell starts background jobs with SIGINT ignored: not this one.
start() {
  : >"$work/log"
  seen=0
  env --default-signal=INT "$@" >"$work/log" 2>&1 &
  server=$!
  started+=("$server")
  until_log 'listening on http://'
  url=$(sed -n 's/^listening on //p' "$work/log")
}

# until_log TEXT [COUNT]: waits until the server has said this, so many times.
until_log() {
  until_true 15 has_said "$1" "${2:-1}" || fail "the server never said '$1'"
}
has_said() { [ "$(grep -cF -- "$1" "$work/log")" -ge "$2" ]; }

# show_log: prints what the server has said since the last time.
show_log() {
  tail -n "+$((seen + 1))" "$work/log"
  seen=$(wc -l <"$work/log")
}

# show COMMAND...: prints the command, and runs it.
show() {
  echo "\$ $*"
  "$@"
}

# ok WHAT COMMAND...: the command has to succeed. If it does not, that is the end of the script.
ok() {
  local what=$1
  shift
  "$@" || fail "$what"
  echo "ok: $what"
}

fail() {
  echo "NOT ok: $1" >&2
  if [ -s "$work/log" ]; then
    echo "the server's log:" >&2
    cat "$work/log" >&2
  fi
  exit 1
}

# pid_of NAME: the process of which the server has last said "NAME is 4312".
pid_of() { sed -n "s/^$1 is //p" "$work/log" | tail -n 1; }

# workers PID: the processes that this one has started, one a line.
workers() { ps -o pid=,stat= --ppid "$1" | awk '$2 !~ /^Z/ { print $1 }'; }

# port_is_free: whether the server's port can be listened on again.
port_is_free() { ! curl --silent --http0.9 --max-time 1 --output "$work/nobody" "$url"; }
