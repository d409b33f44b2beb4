#!/usr/bin/env bash
. "$(dirname "$0")/../terminal.bash"
script killed-in-accept
