//! Workers that do what they like on the channel. The master lives on, and keeps N
//! of them.

mod common;

use std::time::Duration;

use common::sh::python_server;
use common::{SOON, memory, wait_until_full};
use testkit::{Running, Signal, cpu_time, fds, http, try_eventually};

/// More than a master with a few workers ever needs, in KiB.
const MUCH: u64 = 120 << 10;

/// The master's promise is 6 s, whatever the workers do; the rest is for a busy
/// machine.
const STOP: Duration = Duration::from_millis(7_500);

/// It still serves, and it still stops when it is asked to.
#[track_caller]
fn lives_on(server: &Running) {
    let response = http::get(server.addr());
    assert!(response.is_ok(), "{response:?}\n{}", server.describe());
    stops(server);
}

#[track_caller]
fn stops(server: &Running) {
    let memory = memory(server.pid());
    assert!(memory < MUCH, "the master has {memory} KiB");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait(STOP).code(), Some(0));
}

#[test]
fn garbage_on_the_channel_is_told_and_skipped() {
    let script = r"
listener = take()
channel.sendall(b'garbage\n\xff\xfe\n{\n' + b'[' * 100000 + b'\n\n\0\n')
say('null'); say('7'); say('[]'); say(json.dumps('act')); say(json.dumps({'act': 7}))
serve(listener)";
    let Some(server) = python_server(2, script) else { return };
    wait_until_full(&server, 2);
    server.wait_for_stderr("is not JSON");
    server.wait_for_line(r#"says {"act":7}"#);
    lives_on(&server);
}

/// The first of two workers sends garbage all the time, the other one now and then.
#[test]
fn a_noisy_worker_neither_fills_the_log_nor_hides_the_errors_of_a_quiet_one() {
    let script = r"
listener = take()
name = socket.socket(socket.AF_UNIX)
try:
    name.bind('\0noisy%d' % os.getppid())
except OSError:
    while True:
        say('quiet'); say(json.dumps('I am quiet'))
        time.sleep(0.1)
while True:
    channel.sendall(b'garbage\n' * 1000)";
    let Some(server) = python_server(2, script) else { return };
    server.wait_for_stderr("more like the line above");
    server.wait_for_line("says \"I am quiet\"");
    let log = server.stdout();
    let line = log.lines().find(|line| line.contains("I am quiet"));
    let pid = line.and_then(|line| line.split_whitespace().nth(1)).expect("a pid");
    server.wait_for_stderr(&format!("worker {pid}: "));
    let lines = server.stderr().lines().count();
    assert!(lines < 100, "{lines} lines of complaints");
    stops(&server);
}

/// It acknowledges its listener, and exits. It is bash: other shells redirect only to
/// descriptors below 10.
#[test]
#[ignore = "takes 20 s"]
fn a_crash_loop_does_not_fill_the_log() {
    let ack = r#"echo '{"cmd":"NODE_HANDLE_ACK"}' >&"$NODE_CHANNEL_FD""#;
    let server = common::server_of(8, &["bash", "-c", ack]);
    testkit::eventually("the limit is reached", Duration::from_secs(180), || {
        server.stdout().contains("more like the line above")
    });
    let lines = || server.stdout().lines().count();
    let before = lines();
    std::thread::sleep(Duration::from_secs(3));
    // In each second ten, and how many were left out.
    let written = lines() - before;
    assert!(written <= 4 * 11, "{written} lines in 3 s");
    stops(&server);
}

#[test]
fn half_a_line_and_then_the_end_is_told() {
    let script = "channel.sendall(b'{\"act\":')";
    let Some(server) = python_server(2, script) else { return };
    server.wait_for_stderr("the channel ended in the middle of a line");
    server.wait_for_line("the next one starts in 200 ms");
    stops(&server);
}

#[test]
fn a_line_without_end_is_given_up_and_the_worker_is_not() {
    let script = r"
listener = take()
try:
    while True:
        channel.sendall(b'x' * 65536)
except OSError:
    channel.close()
serve(listener)";
    let Some(server) = python_server(2, script) else { return };
    server.wait_for_stderr("longer than 16 MiB");
    lives_on(&server);
}

#[test]
fn a_handle_message_without_its_handle_is_an_event() {
    let script = r"
listener = take()
for _ in range(3):
    say(json.dumps({'cmd': 'NODE_HANDLE', 'type': 'net.Server', 'msg': 'server'}))
    assert b'NODE_HANDLE_NACK' in channel.recv(65536)
serve(listener)";
    let Some(server) = python_server(1, script) else { return };
    wait_until_full(&server, 1);
    server.wait_for_stderr("without its descriptor");
    lives_on(&server);
}

#[test]
fn a_handle_that_was_not_asked_for_is_closed() {
    let script = r"
listener = take()
for kind in ['net.Server', 'net.Socket', 'dgram.Socket', 'nonsense', 7]:
    for _ in range(20):
        message = json.dumps({'cmd': 'NODE_HANDLE', 'type': kind, 'msg': 'yours'})
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0, 1, listener.fileno()]))]
        channel.sendmsg([message.encode() + b'\n'], rights)
        assert b'NODE_HANDLE_ACK' in channel.recv(65536)
serve(listener)";
    let Some(server) = python_server(1, script) else { return };
    wait_until_full(&server, 1);
    http::get(server.addr()).expect("it serves when all were sent");
    let open = fds(server.pid()).len();
    assert!(open < 20, "100 descriptors arrived, and {open} are open");
    lives_on(&server);
}

#[test]
fn a_worker_that_lost_its_listener_is_sent_it_again() {
    let script = r"
for _ in range(2):
    channel.recv(65536)
    say(json.dumps({'cmd': 'NODE_HANDLE_NACK'}))
serve(take())";
    let Some(server) = python_server(1, script) else { return };
    wait_until_full(&server, 1);
    lives_on(&server);
}

#[test]
fn to_send_suicide_1000_times_brings_one_replacement() {
    let script = r"
listener = take()
client, _ = listener.accept()
say('{\x22act\x22:\x22suicide\x22}\n' * 999 + json.dumps({'act': 'suicide'}))
say(json.dumps('all sent'))
client.close()
time.sleep(1000)";
    let Some(server) = python_server(2, script) else { return };
    wait_until_full(&server, 2);
    let _ = http::get(server.addr());
    server.wait_for_line("all sent");
    wait_until_full(&server, 2);
    let count = |what: &str| server.stdout().matches(what).count();
    assert_eq!(count(" drains"), 1, "told once\n{}", server.describe());
    assert_eq!(count(" started"), 3, "two at first, and one replacement");
    // It does not exit by itself.
    let log = server.stdout();
    let line = log.lines().find(|line| line.contains(" drains")).expect("told");
    let pid = line.split_whitespace().nth(1).and_then(|pid| pid.parse().ok());
    common::signal(common::process(pid.expect("a pid")), Signal::SIGKILL);
    stops(&server);
}

/// Workers that send `line`, a Python expression, without pause and read nothing.
/// The master must stay small, and stop when it is asked to.
fn flood(line: &str) {
    let script = format!("line = ({line}).encode() + b'\\n'{FLOOD}");
    let Some(server) = python_server(1, &script) else { return };
    server.wait_for_line(" started");
    let began = cpu_time(server.pid());
    // For a while, or until there is enough to see.
    let _ = try_eventually(Duration::from_millis(800), || {
        let busy = cpu_time(server.pid()) - began > Duration::from_millis(500);
        (busy || memory(server.pid()) > MUCH).then_some(())
    });
    stops(&server);
}

/// Two threads, so that there is always something to read.
const FLOOD: &str = r"
import threading
line *= 1 + 16000 // len(line)
listener = take()
def flood():
    while True:
        channel.sendall(line)
threading.Thread(target=flood, daemon=True).start()
flood()";

#[test]
fn a_flood_of_messages_does_not_keep_the_master_from_stopping() {
    flood("'null'");
}

#[test]
fn a_flood_of_acknowledgements_does_not_keep_the_master_from_stopping() {
    flood(r#"'{"cmd":"NODE_HANDLE_ACK"}'"#);
}

/// The master must answer each message, and the worker reads no answer.
#[test]
fn a_flood_of_handles_that_are_none_does_not_keep_the_master_from_stopping() {
    flood(r#"'{"cmd":"NODE_HANDLE"}'"#);
}

/// More answers than the socket holds, and then the worker dies: the master reads
/// on to the end, and replaces it.
#[test]
fn a_worker_that_asks_reads_nothing_and_dies_is_replaced() {
    let script = r#"
listener = take()
line = b'{"cmd":"NODE_HANDLE"}\n'
channel.settimeout(0.3)
try:
    channel.sendall(line * 20000)
except OSError:
    pass
os.kill(os.getpid(), signal.SIGKILL)"#;
    let Some(server) = python_server(1, script) else { return };
    server.wait_for_lines("was killed by SIGKILL", 2);
    let reaped = || testkit::zombies_of(server.pid()).is_empty().then_some(());
    assert!(try_eventually(SOON, reaped).is_some(), "no zombie stays");
    stops(&server);
}
