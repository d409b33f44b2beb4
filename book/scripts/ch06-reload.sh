#!/usr/bin/env bash
# Chapter 6: configuration, program and number of workers change under load.
# bash book/scripts/ch06-reload.sh
. "$(dirname "$0")/lib.sh"

build ch06-reload
cp "$program" "$work/server"
# config GREETING SECONDS: writes the file. A worker may be silent for so long.
config() {
  printf 'workers = 2\ngreeting = "%s"\n[limits]\nalive = %s\n' "$@" >"$work/site.toml"
}
config one 1
start "$work/server" --config "$work/site.toml" --port 0 --demo
master=$server
until_log 'is ready' 2

# A load: one request after the other, until the file `enough` exists.
ask() { curl --silent --max-time 10 "$url" || echo lost; }
load() { until [ -e "$work/enough" ]; do ask; done >"$work/answers"; }
load &
load=$!
answers() { [ "$(ask)" = "$1" ]; }
all_ended() { local pid; for pid; do ended "$pid" || return 1; done; }
count() { workers "$master" | wc -l; }
has() { [ "$(count)" = "$1" ]; }

mapfile -t old < <(workers "$master")
config two 1
kill -HUP "$master"
ok "SIGHUP: a reload is done" until_true 10 has_said 'reload: done, generation 2' 1
ok "the old workers are gone" until_true 10 all_ended "${old[@]}"
ok "and the new greeting is there" answers two

mapfile -t old < <(workers "$master")
echo 'workers = 0' >"$work/site.toml"
kill -HUP "$master"
mistake='site.toml:1:11: workers: 0 is not between 1 and 1024'
ok "a bad file: one line says why" until_true 10 has_said "$mistake" 1
mapfile -t now < <(workers "$master")
ok "and the same workers serve on" [ "${now[*]}" = "${old[*]}" ]

kill -TTIN "$master"
ok "SIGTTIN: a third worker" until_true 10 has 3
kill -TTOU "$master"
ok "SIGTTOU: two workers again" until_true 10 has 2

victim=$(workers "$master" | tail -n 1)
kill -STOP "$victim"
ok "a worker that hangs is replaced" until_true 10 all_ended "$victim"
until_true 10 has 2 || fail "there are two workers again"

cp --remove-destination /bin/false "$work/server"
config three 30
kill -USR2 "$master"
ok "SIGUSR2, and the new program fails: one line says so" \
  until_true 10 has_said 'this one serves on' 1
cp --remove-destination "$program" "$work/server"
kill -USR2 "$master"
ok "SIGUSR2: the old master exits" gone "$master" 10
master=$(sed -n 's/.*process \([0-9]*\) has taken over.*/\1/p' "$work/log")
started+=("$master")
ok "a new one has taken over, with the new greeting" answers three

touch "$work/enough"
wait "$load"
ok "meanwhile no request was lost" bash -c "! grep -q lost '$work/answers'"

# Thirty clients wait in the backlog when the server is told to stop.
mapfile -t family < <(workers "$master")
kill -STOP "${family[@]}"
clients=()
for _ in {1..30}; do
  ask >>"$work/last" &
  clients+=($!)
done
wait_in_backlog() { [ "$(ss -Hltn "sport = :${url##*:}" | awk '{ print $2 }')" = 30 ]; }
until_true 5 wait_in_backlog || fail "thirty clients wait"
kill -TERM "$master"
until_log 'got SIGTERM'
kill -CONT "${family[@]}"
wait "${clients[@]}"
answered=$(grep -c three "$work/last" || true)
ok "thirty clients in the backlog at SIGTERM: all are answered" [ "$answered" = 30 ]
ok "the server exits, and its workers" until_true 10 all_ended "$master" "${family[@]}"
ok "the port is free" port_is_free
