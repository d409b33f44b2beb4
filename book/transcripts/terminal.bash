# shellcheck shell=bash
# What the recorded sessions share. Each begins with: . "$(dirname "$0")/../terminal.bash"
#
# A session shows the commands as a reader types them, and runs the same with a free port in place of
# 1337.

# shellcheck source-path=SCRIPTDIR/..
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"
cd "$root"

# A session without a server has no port to stand in for.
url=http://127.0.0.1:1337

# type_in LINE: shows a command line and runs it. What it complains of is shown too.
type_in() {
  local line=${1//127.0.0.1:1337/${url#http://}}
  printf '$ %s\n' "$1"
  eval "${line//127.0.0.1\/1337/127.0.0.1/${url##*:}}" 2>&1 || true
}

# measure LINE LEAST MOST: as type_in, for a line that prints a number, which may differ from run to run:
# it has to be from LEAST to MOST, and is put into $number.
measure() {
  number=$(type_in "$1")
  echo "${number%$'\n'*}"
  number=${number##*$'\n'}
  echo "~$number"
  if [ "$number" -lt "$2" ] || [ "$number" -gt "$3" ]; then fail "$number is not from $2 to $3"; fi
}

# serve CHAPTER [ARG...]: shows the command that starts a chapter's server, and starts it.
serve() {
  local chapter=$1 arguments=
  shift
  [ $# = 0 ] || arguments=" -- $*"
  printf '$ cargo run -q -p %s%s\n' "$chapter" "$arguments"
  build "$chapter"
  start "$program" --port 0 "$@"
}

# serve_with_node SCRIPT [ARG...]: the same, for a server in Node. It takes its port from PORT.
serve_with_node() {
  printf '$ node %s\n' "$*"
  start env PORT=0 node "$@"
}

# run_with CHAPTER ARGUMENTS: shows how a chapter's program is run, and runs it. ARGUMENTS are what a
# reader types behind `--`.
run_with() {
  printf '$ cargo run -q -p %s -- %s\n' "$1" "$2"
  build "$1"
  eval '"$program" '"$2" 2>&1 || true
}

# script NAME: shows how a script of the book is run, and runs it. It has to succeed.
script() {
  echo "\$ bash book/scripts/$1.sh"
  bash "book/scripts/$1.sh"
}

# press_ctrl_c: what the terminal does with Ctrl-C, to the server alone.
press_ctrl_c() {
  echo '^C'
  kill -INT "$server"
  gone "$server" 10 || fail "the server does not end"
}
