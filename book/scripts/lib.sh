# shellcheck shell=bash
# What the scripts of this book share. Each begins with: . "$(dirname "$0")/lib.sh"

set -euo pipefail

# A proxy that the environment names is not for servers on this machine.
export no_proxy=127.0.0.1,localhost

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
work=$(mktemp -d)
started=()
seen=0

# Stops every server that this script started, also if the script fails: with SIGTERM, and
# with SIGKILL after 6 s. Some servers in this book leave their workers running when they are
# killed. Their workers are killed too.
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

# start_of PID: when the process was started. The kernel may give its number to another
# process later; that one has another start time (proc_pid_stat(5)).
start_of() { cut -d ' ' -f 22 "/proc/$1/stat" 2>/dev/null || true; }

# until_true SECONDS COMMAND...: repeats the command until it succeeds. Fails after SECONDS.
until_true() {
  local end=$((SECONDS + $1 + 1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}

# gone PID SECONDS: waits until the process has exited. A zombie has exited, too.
gone() { until_true "$2" ended "$1"; }
ended() { ! grep -q '^State:[[:space:]]*[^Z[:space:]]' "/proc/$1/status" 2>/dev/null; }

# build CHAPTER: builds a chapter's program, and puts its path into $program.
build() {
  cargo build --quiet --manifest-path "$root/Cargo.toml" -p "$1"
  # shellcheck disable=SC2034 # The scripts use it.
  program=$target/debug/$1
}

# build_step CHAPTER STEP: the same for a step, which is an example of the chapter's package.
build_step() {
  cargo build --quiet --manifest-path "$root/Cargo.toml" -p "$1" --example "$2"
  program=$target/debug/examples/$2
}

# start COMMAND...: starts a server and waits until it prints its address, which is put into
# $url. Its process id is put into $server.
start() {
  launch "$@"
  until_log 'listening on http://'
  url=$(sed -n 's/^listening on //p' "$work/log")
}

# start_step CHAPTER STEP [ARG...]: builds and starts a step whose first argument is the
# address on which it listens, and waits until it listens and has said so. Sets $server and
# $url like start.
start_step() {
  local port step=$2
  build_step "$1" "$step"
  port=$(free_port)
  launch "$program" "127.0.0.1:$port" "${@:3}"
  until_true 15 listens "$port" || fail "$step does not listen"
  until_log 'listening on '
  url=http://127.0.0.1:$port
}

# launch COMMAND...: starts a server in the background, with its output in $work/log. A shell
# starts background jobs with SIGINT ignored, which env undoes.
launch() {
  : >"$work/log"
  seen=0
  env --default-signal=INT "$@" >"$work/log" 2>&1 &
  server=$!
  started+=("$server")
}

# listens PORT: whether a socket listens on this port: its state is 0A in the kernel's table
# (proc(5)). To connect would answer that as well, but would be a connection for the server.
listens() {
  grep -q "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$1") 00000000:0000 0A" /proc/net/tcp
}

# all_accepted PORT: whether no connection to this port waits in the backlog. One that does
# has no inode yet.
all_accepted() {
  awk -v port="$(printf ':%04X' "$1")" \
    '$2 ~ port "$" && $4 == "01" && $10 == 0 { waits = 1 } END { exit waits }' /proc/net/tcp
}

# free_port: prints a port on which no socket listens. The kernel gives ports from 32768 on
# to outgoing connections, so it is below these.
free_port() {
  local port
  until port=$((20000 + RANDOM % 10000)) && ! listens "$port"; do :; done
  echo "$port"
}

# until_log TEXT [COUNT]: waits until the server has printed this text COUNT times.
until_log() {
  until_true 15 has_said "$1" "${2:-1}" || fail "the server never printed '$1'"
}
has_said() { [ "$(grep -cF -- "$1" "$work/log")" -ge "$2" ]; }

# show_log: prints what the server has printed since the last call.
show_log() {
  tail -n "+$((seen + 1))" "$work/log"
  seen=$(wc -l <"$work/log")
}

# show COMMAND...: prints the command and runs it.
show() {
  echo "\$ $*"
  "$@"
}

# ok WHAT COMMAND...: runs a command that must succeed. The script stops if it does not.
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

# pid_of NAME: the process id in the server's last line "NAME is PID".
pid_of() { sed -n "s/^$1 is //p" "$work/log" | tail -n 1; }

# workers PID: the process ids of this process's children, one a line, without zombies.
workers() { ps -o pid=,stat= --ppid "$1" | awk '$2 !~ /^Z/ { print $1 }'; }

# port_is_free: whether the server's port is closed again.
port_is_free() { ! curl --silent --http0.9 --max-time 1 --output "$work/unread" "$url"; }
