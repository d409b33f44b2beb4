# shellcheck shell=bash
# What the recorded sessions share. Each begins with: . "$(dirname "$0")/../terminal.bash"
#
# A session prints each command as a reader types it, and runs it with a free port in place
# of 1337.

. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"
cd "$root"

# type_in replaces 1337 by the port in this address. A session without a server keeps 1337.
url=http://127.0.0.1:1337

# type_in LINE: prints a command line and runs it. Its standard error is recorded too.
type_in() {
  local line=${1//127.0.0.1:1337/${url#http://}}
  printf '$ %s\n' "$1"
  eval "${line//127.0.0.1\/1337/127.0.0.1/${url##*:}}" 2>&1 || true
}

# measure LINE LEAST MOST: like type_in, for a command that prints a number that differs from
# run to run. It must lie between LEAST and MOST. It is printed with a ~ in front, and put
# into $number.
measure() {
  number=$(type_in "$1")
  echo "${number%$'\n'*}"
  number=${number##*$'\n'}
  echo "~$number"
  if [ "$number" -lt "$2" ] || [ "$number" -gt "$3" ]; then
    fail "$number is not between $2 and $3"
  fi
}

# step CHAPTER STEP [ARG...]: prints the command that runs a step of a chapter, and runs it.
step() {
  local package=$1 example=$2 arguments=
  shift 2
  [ $# = 0 ] || arguments=" -- $*"
  printf '$ cargo run -q -p %s --example %s%s\n' "$package" "$example" "$arguments"
  build_step "$package" "$example"
  "$program" "$@" 2>&1 || true
}

# serve_step CHAPTER STEP [ARG...]: prints the command that starts a step that listens, and
# starts it.
serve_step() {
  local arguments=
  [ $# = 2 ] || arguments=" -- 127.0.0.1:1337 ${*:3}"
  printf '$ cargo run -q -p %s --example %s%s\n' "$1" "$2" "$arguments"
  start_step "$@"
}

# serve CHAPTER [ARG...]: prints the command that starts a chapter's server, and starts it.
serve() {
  local chapter=$1 arguments=
  shift
  [ $# = 0 ] || arguments=" -- $*"
  printf '$ cargo run -q -p %s%s\n' "$chapter" "$arguments"
  build "$chapter"
  start "$program" --port 0 "$@"
}

# serve_with_node SCRIPT [ARG...]: the same for a server in Node, which takes its port from
# the variable PORT.
serve_with_node() {
  printf '$ node %s\n' "$*"
  start env PORT=0 node "$@"
}

# run_with CHAPTER ARGUMENTS: prints the command that runs a chapter's program, and runs it.
# ARGUMENTS are what a reader types behind `--`, pipes included.
run_with() {
  printf '$ cargo run -q -p %s -- %s\n' "$1" "$2"
  build "$1"
  eval '"$program" '"$2" 2>&1 || true
}

# script NAME: prints the command that runs a script of the book, and runs it. The session
# fails if the script fails.
script() {
  echo "\$ bash book/scripts/$1.sh"
  bash "book/scripts/$1.sh"
}

# press_ctrl_c: sends SIGINT to the server, as a terminal does, and waits until it exits.
press_ctrl_c() {
  echo '^C'
  kill -INT "$server"
  gone "$server" 10 || fail "the server does not exit"
}

# slow_clients: types in clients that send half a request each, until both workers of a step hold one.
# `half` connects one more of them; $fd is the last.
slow_clients() {
  # shellcheck disable=SC2016 # The line is typed in as it is.
  type_in 'half() { exec {fd}<>/dev/tcp/127.0.0.1/1337; printf "GET / HTTP/1.1\r\nHo" >&$fd; }'
  type_in 'for i in {1..10}; do half; done'
  # shellcheck disable=SC2046 # Each process id is a word.
  until have_a_thread $(workers "$server"); do half; sleep 0.05; done
}

# have_a_thread PID...: each of these workers has a thread beside its first: one for each connection.
have_a_thread() {
  local pid
  for pid; do
    [ "$(find "/proc/$pid/task" -maxdepth 1 -mindepth 1 | wc -l)" -gt 1 ] || return 1
  done
}

# crash [TEXT...]: types in requests to a step with two workers. One panics, one aborts; the
# other worker has a request at /slow meanwhile. The step prints a TEXT after each crash.
crash() {
  disown "$server"
  show_log
  unset RUST_BACKTRACE
  type_in 'for i in 1 2 3; do curl -s http://127.0.0.1:1337; done'
  local path
  for path in panic abort; do
    type_in 'curl -s http://127.0.0.1:1337/slow || echo "slow: lost" & sleep 0.3'
    # Both requests may be lost at the same moment, so one line waits for the other.
    type_in "curl -s http://127.0.0.1:1337/$path || { wait; echo '$path: lost'; }"
    [ $# = 0 ] || { until_log "$1"; shift; }
    # What became of a process. The message of a panic has a thread and a place in it.
    show_log >"$work/shown"
    grep -E '^(Exited|Signaled)' "$work/shown" || true
  done
  type_in 'curl -s http://127.0.0.1:1337 || echo "curl exits with $?"'
}
