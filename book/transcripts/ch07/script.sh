#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
script ch07-cluster
