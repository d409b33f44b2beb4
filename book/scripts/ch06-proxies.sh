#!/usr/bin/env bash
# Chapter 6: nginx, then HAProxy, in front of three instances. While clients ask without
# pause, instance 1 is reloaded, and instance 3 is killed or stopped, and started again.
# bash book/scripts/ch06-proxies.sh [SECONDS]
. "$(dirname "$0")/lib.sh"

seconds=${1:-6}
# There is where Debian has the two; it is not in the PATH of every user.
PATH=$PATH:/usr/sbin
for tool in nginx haproxy ab curl; do
  command -v "$tool" >/dev/null || fail "$tool is not installed"
done
build ch06-reload
ports=()
for _ in {0..4}; do ports+=("$(free_port)"); done
url=http://127.0.0.1:${ports[0]}

# configuration FILE: prints the file, with free ports in place of 8000 to 8004.
configuration() {
  local edits=() i
  for i in {0..4}; do edits+=(-e "s/127\.0\.0\.1:800$i\b/127.0.0.1:${ports[i]}/"); done
  sed "${edits[@]}" "$root/book/service/$1"
}

# nginx logs each request that it has sent to more than one instance: there,
# $upstream_addr has more than one address.
start_nginx() {
  configuration nginx.conf >"$work/site.conf"
  cat >"$work/nginx.conf" <<END
pid $work/nginx.pid;
worker_processes 2;
events {}
http {
  client_body_temp_path $work/1; proxy_temp_path $work/2; fastcgi_temp_path $work/3;
  uwsgi_temp_path $work/4; scgi_temp_path $work/5;
  map \$upstream_addr \$is_retried { ~, 1; default 0; }
  access_log $work/retried combined if=\$is_retried;
  include $work/site.conf;
}
END
  in_background nginx -e "$work/nginx.log" -c "$work/nginx.conf" -g 'daemon off;'
}
retried_by_nginx() { wc -l <"$work/retried"; }

# The 16th column of HAProxy's statistics is the number of retries.
start_haproxy() {
  configuration haproxy.cfg >"$work/haproxy.cfg"
  in_background haproxy -f "$work/haproxy.cfg"
}
retried_by_haproxy() {
  curl -sf "127.0.0.1:${ports[4]}/;csv" |
    awk -F, '$1 == "site" && $2 == "BACKEND" { print $16 }'
}

# in_background COMMAND...: starts it. Its process id is put into $server.
in_background() {
  "$@" >>"$work/log" 2>&1 &
  server=$!
  started+=("$server")
}

# start_instance N: returns when it answers. Its process id is put into ${masters[N]}.
start_instance() {
  in_background "$program" --port "${ports[$1]}" --workers 2 --demo
  masters[$1]=$server
  until_true 15 answers "127.0.0.1:${ports[$1]}" || fail "instance $1 starts"
}
answers() { curl -sf -m 5 -o "$work/unread" "$1"; }

# end_instance SIGNAL N: sends SIGNAL to the master, and SIGKILL to its workers, too.
# Bash reports the death of a background job. That line is not wanted here.
end_instance() {
  local family=("${masters[$2]}")
  # shellcheck disable=SC2207 # Each process id is a word.
  [ "$1" != KILL ] || family+=($(workers "${masters[$2]}"))
  { kill "-$1" "${family[@]}"; wait "${masters[$2]}" || true; } 2>/dev/null
  until_true 5 refuses "${ports[$2]}" || fail "port ${ports[$2]} is closed"
}
refuses() { ! listens "$1"; }

# The proxy sends requests to instance 3 (again).
uses_3() { curl -s "$url/workers" | grep -q "\"master\":${masters[3]}\b"; }

# load NAME PATH OPTION...: eight clients ask without pause for $seconds.
load() {
  ab -q -r -c 8 -t "$seconds" -n 10000000 "${@:3}" "$url$2" >"$work/load-$1" 2>&1 &
  loads+=("$!")
}
# sum LABEL: what the loads have reported under this label.
sum() {
  awk -F: -v label="$1" '$1 == label { n += $2 } END { print n + 0 }' "$work"/load-*
}

# reload_and_end: ends instance 3 while the workers of instance 1 are replaced.
reload_and_end() {
  local before
  before=$(grep -c 'reload: done' "$work/log" || true)
  until_true 10 uses_3 || fail "$proxy uses instance 3"
  kill -HUP "${masters[1]}"
  end_instance "$1" 3
  sleep 0.3
  start_instance 3
  until_log 'reload: done' $((before + 1))
}

# ask METHOD: six clients, at once. The status of each response goes to $work/METHOD.
ask() {
  : >"$work/$1"
  for _ in {1..6}; do
    curl -s -m 10 -X "$1" -o "$work/unread" -w '%{http_code}\n' "$url" >>"$work/$1" &
    asking+=("$!")
  done
}
# settled COUNT FILE...: of COUNT requests, each is answered, in one of the files, or
# waits at instance 3. An open connection has the state 01 (proc(5)).
settled() {
  local waiting port answered
  port=$(printf %04X "${ports[3]}")
  waiting=$(grep -c "^ *[0-9]*: [0-9A-F]*:$port [0-9A-F:]* 01" /proc/net/tcp)
  answered=$(cat "${@:2}" | wc -l)
  [ $((waiting + answered)) -ge "$1" ]
}
# all METHOD PATTERN: whether six responses have this status.
all() { [ "$(grep -cxE "$2" "$work/$1")" = 6 ]; }
aborts() { grep -c 'was killed by SIGABRT' "$work/log" || true; }

for i in 1 2 3; do start_instance "$i"; done
for proxy in nginx haproxy; do
  "start_$proxy"
  front=$server
  until_true 15 answers "$url" || fail "$proxy starts"

  loads=() rounds=0
  load new /busy/5
  load kept / -k
  while kill -0 "${loads[@]}" 2>/dev/null; do
    reload_and_end KILL
    reload_and_end TERM
    rounds=$((rounds + 1))
  done
  wait "${loads[@]}"
  echo "$proxy: ~$rounds times: reload one and kill one, reload one and stop one"
  requests=$(sum 'Complete requests')
  echo "~$requests requests, ~$("retried_by_$proxy") sent to another instance"
  lost=$(($(sum 'Failed requests') + $(sum 'Non-2xx responses')))
  [ "$lost" = 0 ] || grep -hE 'Failed|Connect:|Non-2xx' "$work"/load-*
  ok "$proxy: no request was lost" [ "$lost" = 0 ]

  # A stopped process answers nothing: a third of the requests waits at instance 3.
  until_true 10 uses_3 || fail "$proxy uses instance 3 again"
  # shellcheck disable=SC2046 # Each process id is a word.
  kill -STOP "${masters[3]}" $(workers "${masters[3]}")
  asking=()
  ask POST
  until_true 10 settled 6 "$work/POST" || fail "two of three instances answer"
  ask GET
  until_true 10 settled 12 "$work"/{POST,GET} || fail "two of three instances answer"
  end_instance KILL 3
  wait "${asking[@]}"
  ok "$proxy: killed while requests wait: each GET is answered by another" all GET 200
  ok "$proxy: but a POST is not sent twice: 502" grep -q 502 "$work/POST"
  # 405: the site has no use for POST.
  ok "$proxy: the other POSTs are answered (405)" all POST '405|502'

  asking=()
  ask GET
  ask POST
  wait "${asking[@]}"
  ok "$proxy: an instance that refuses connections: each GET is answered" all GET 200
  ok "$proxy: and each POST" all POST 405
  start_instance 3
  until_true 10 uses_3 || fail "$proxy uses instance 3 again"

  before=$(aborts)
  status=$(curl -s -m 10 -o "$work/unread" -w '%{http_code}' "$url/abort")
  ok "$proxy: a request that kills each worker: two tries, then 502" [ "$status" = 502 ]
  until_log 'was killed by SIGABRT' $((before + 2))
  asking=()
  ask GET
  wait "${asking[@]}"
  ok "$proxy: other requests are answered" all GET 200
  kill -TERM "$front"
  gone "$front" 5 || fail "$proxy exits"
done
