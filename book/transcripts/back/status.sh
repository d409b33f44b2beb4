#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
serve ch05-restart --workers 1
until_log 'is ready'
show_log
worker=$(workers "$server")
type_in "grep -E '^(State|PPid|Threads|SigCgt)' /proc/$worker/status"
