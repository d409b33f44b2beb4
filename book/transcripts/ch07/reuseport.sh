#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
cd "$work"
serve_step ch07-cluster reuseport
show_log
both() { [ "$(workers "$server" | wc -l)" = 2 ]; }
until_true 5 both
# Both serve: each of 40 connections goes to one of them.
counted() { IFS= read -r line; echo "$line"; sed -E 's/^ *([0-9]+)/     ~\1/' | sort -k 2; }
type_in 'for i in {1..40}; do curl -s http://127.0.0.1:1337; done | sort | uniq -c' | counted
first=$(workers "$server" | head -n 1)
type_in "kill -STOP $first"
# shellcheck disable=SC2016 # It is typed in.
type_in 'for i in {1..20}; do (curl -s http://127.0.0.1:1337 || echo lost) >>answers & done'
half() { [ "$(wc -l <answers)" -gt 0 ]; }
until_true 5 half
sleep 0.5
type_in "kill -9 $first; sleep 1"
type_in 'sort answers | uniq -c; rm answers' | counted
