//! A peer that does not keep to the protocol harms itself and no other process.

mod common;

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use ch01_fork_ipc::RecvError;
use ch02_balance::{Received, poll_tokens};
use common::{
    LONG, Peer, assert_no_busy_loop, channel_and_peer, child_named, envelope,
    limited, load, name_of, open_here, program, send_with, serving, thing,
};
use nix::poll::{PollFd, PollFlags};
use serde_json::{Value, json};
use testkit::{Process, Running, Signal, cpu_time, eventually, fds, zombies_of};

/// A worker and our end of its channel.
fn worker() -> (Running, Peer) {
    let (worker, stream) = program().args(["worker", "normal"]).channel();
    (worker.start(), Peer::new(stream))
}

/// Checks all `cases` at the same time: most of their time is waiting.
fn at_once<T: Send>(cases: impl IntoIterator<Item = T>, check: impl Fn(T) + Sync) {
    let check = &check;
    thread::scope(|scope| {
        cases.into_iter().for_each(|case| drop(scope.spawn(move || check(case))));
    });
}

#[test]
fn an_answer_to_nothing_is_ignored() {
    let (mut ours, mut peer) = channel_and_peer(1);
    for _ in 0..3 {
        peer.ack();
        peer.nack();
    }
    ours.assert_nothing();
    ours.give(json!(1), thing().1);
    ours.assert_nothing();
    drop(peer);
    assert!(matches!(ours.next(), Received::Closed(None)));
    let back = ours.channel().into_unacknowledged();
    assert_eq!(back.len(), 1, "no earlier answer counts for it");
}

/// A handle that has left only in part cannot have arrived, nor been lost.
#[test]
fn an_answer_that_comes_too_early_is_ignored() {
    for early in ["NODE_HANDLE_ACK", "NODE_HANDLE_NACK"] {
        let (mut ours, mut peer) = channel_and_peer(1);
        let long = Value::from("x".repeat(1 << 20));
        ours.give(long.clone(), thing().1);
        for _ in 0..3 {
            peer.say(&json!({"cmd": early}));
        }
        ours.assert_nothing();
        let mut lines = Vec::new();
        while lines.is_empty() {
            ours.pump();
            lines = peer.lines_here();
        }
        assert!(lines == [envelope(long)], "once and whole, in spite of {early}");
        peer.ack();
        ours.next_ack();
    }
}

#[test]
fn internal_messages_never_reach_the_program() {
    let (mut ours, mut peer) = channel_and_peer(1);
    for cmd in ["NODE_NOTHING", "NODE_CLUSTER", "NODE_SOCKET_COUNT", "NODE__"] {
        let internal = json!({"cmd": cmd, "key": [1], "msg": "x"});
        peer.say(&internal);
        // Nor if it is the message of a handle.
        peer.hand_over(internal, &thing().1);
        ours.assert_nothing();
        assert_eq!(peer.line(), json!({"cmd": "NODE_HANDLE_ACK"}), "{cmd}");
    }
    for ours_too in [json!({"cmd": "NODE_"}), json!({"cmd": "ours"}), json!(7)] {
        peer.say(&ours_too);
        assert_eq!(ours.next_message(), ours_too);
        peer.hand_over(ours_too.clone(), &thing().1);
        assert_eq!(ours.next_handle().0, ours_too);
    }
}

#[test]
fn an_internal_message_closes_the_handle_that_came_with_it() {
    let (mut ours, peer) = channel_and_peer(1);
    let (mut other, fd) = thing();
    peer.hand_over(json!({"cmd": "NODE_NOTHING"}), &fd);
    drop(fd);
    ours.assert_nothing();
    assert_eq!(other.read(&mut [0]).expect("closed"), 0);
}

#[test]
fn an_envelope_without_its_handle_is_asked_for_again() {
    let (mut ours, mut peer) = channel_and_peer(1);
    peer.say(&envelope(json!(1)));
    let why = ours.next_ignored();
    assert!(why.contains("without its descriptor"), "{why}");
    assert_eq!(peer.lines_here(), [json!({"cmd": "NODE_HANDLE_NACK"})]);
    peer.hand_over(json!(1), &thing().1);
    assert_eq!(ours.next_handle().0, json!(1));
    assert_eq!(peer.lines_here(), [json!({"cmd": "NODE_HANDLE_ACK"})]);
}

/// A name may be written with escapes. Were it no envelope, the next one would get
/// its descriptor.
#[test]
fn an_envelope_with_escapes_is_an_envelope() {
    let (mut ours, mut peer) = channel_and_peer(1);
    let line = r#"{"c\u006dd":"NODE\u005fHANDLE","type":"net.Socket","msg":1}"#;
    let (mut other, fd) = thing();
    send_with(peer.0.stream(), format!("{line}\n").as_bytes(), &[&fd]);
    let (message, handle) = ours.next_handle();
    assert_eq!((message, handle.kind.as_str()), (json!(1), "net.Socket"));
    assert_eq!(peer.lines_here(), [json!({"cmd": "NODE_HANDLE_ACK"})]);
    drop((fd, handle));
    assert_eq!(other.read(&mut [0]).expect("closed"), 0);
}

/// As Node sends it after a NACK.
#[test]
fn an_envelope_inside_an_envelope_is_unwrapped_and_answered_once() {
    let (mut ours, mut peer) = channel_and_peer(1);
    let inner = json!({
        "cmd": "NODE_HANDLE", "type": "net.Socket", "msg": {"m": 1}, "key": "4:1337"
    });
    let outer = json!({"cmd": "NODE_HANDLE", "type": "net.Native", "msg": inner});
    peer.say_with(&outer, &[&thing().1]);
    let (message, handle) = ours.next_handle();
    assert_eq!(message, json!({"m": 1}));
    assert_eq!(handle.kind, "net.Socket");
    assert_eq!(handle.key.as_deref(), Some("4:1337"));
    assert_eq!(peer.lines_here(), [json!({"cmd": "NODE_HANDLE_ACK"})], "once");
}

#[test]
fn an_envelope_with_nonsense_in_it_is_delivered_for_what_it_is() {
    let (mut ours, peer) = channel_and_peer(1);
    let line = json!({"cmd": "NODE_HANDLE", "type": 7, "key": []});
    peer.say_with(&line, &[&thing().1]);
    let (message, handle) = ours.next_handle();
    assert_eq!((handle.kind.as_str(), message), ("", Value::Null));
    assert_eq!(handle.key, None);
}

/// Half of a surrogate pair, deeper than 128, a number beyond all bounds: Node
/// sends all of these.
const UNREADABLE: [&str; 4] = [
    r#"{"half":"\ud800"}"#,
    r#"["\udc00\ud800"]"#,
    "1e999",
    "DEEP", // Replaced by 200 brackets.
];

fn unreadable() -> impl Iterator<Item = String> {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    UNREADABLE.iter().map(move |text| text.replace("DEEP", &deep))
}

/// The message may be refused. The connection must not be lost for it.
#[test]
fn a_message_that_cannot_be_read_does_not_cost_the_handle() {
    for text in unreadable() {
        for nested in [false, true] {
            let (mut ours, mut peer) = channel_and_peer(1);
            let mut line = format!(
                r#"{{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{text}}}"#
            );
            if nested {
                line = format!(
                    r#"{{"cmd":"NODE_HANDLE","type":"net.Native","msg":{line}}}"#
                );
            }
            let (_other, fd) = thing();
            send_with(peer.0.stream(), format!("{line}\n").as_bytes(), &[&fd]);
            let why = ours.next_ignored();
            assert!(why.contains("JSON"), "{why}");
            let (message, handle) = ours.next_handle();
            assert_eq!(
                (message, handle.kind.as_str()),
                (Value::Null, "net.Socket")
            );
            assert_eq!(name_of(&handle.fd), name_of(&fd), "{text}");
            let once = [json!({"cmd": "NODE_HANDLE_ACK"})];
            assert_eq!(peer.lines_here(), once, "{text}");
        }
    }
}

#[test]
fn a_byte_that_is_not_utf_8_is_replaced_as_in_node() {
    let (mut ours, peer) = channel_and_peer(1);
    send_with(peer.0.stream(), b"{\"a\":\"\xff\"}\n", &[]);
    assert_eq!(ours.next_message(), json!({"a": "\u{fffd}"}));
    let line =
        b"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":\"\xc3\"}\n";
    send_with(peer.0.stream(), line, &[&thing().1]);
    assert_eq!(ours.next_handle().0, json!("\u{fffd}"));
}

#[test]
fn garbage_is_ignored_and_the_channel_goes_on() {
    let (mut ours, peer) = channel_and_peer(1);
    send_with(peer.0.stream(), b"garbage\n{}\n", &[]);
    let why = ours.next_ignored();
    assert!(why.contains("not JSON"), "{why}");
    assert_eq!(ours.next_message(), json!({}));
}

/// The next handle must not get the descriptor that came beside the garbage.
#[test]
fn a_descriptor_beside_garbage_is_closed() {
    for (garbage, answers) in [
        (&b"garbage\n"[..], 0),
        (b"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\n", 1),
    ] {
        let (mut ours, mut peer) = channel_and_peer(1);
        let ((_o1, lost), (_o2, next_one)) = (thing(), thing());
        let (lost_name, next_name) = (name_of(&lost), name_of(&next_one));
        send_with(peer.0.stream(), garbage, &[&lost]);
        drop(lost);
        ours.next_ignored();
        ours.assert_nothing();
        assert_eq!(open_here(&lost_name), 0, "no message wants it");
        let nacks = vec![json!({"cmd": "NODE_HANDLE_NACK"}); answers];
        assert_eq!(peer.lines_here(), nacks, "its sender would wait");
        peer.hand_over(json!(1), &next_one);
        assert_eq!(name_of(&ours.next_handle().1.fd), next_name);
    }
}

#[test]
fn half_a_line_and_the_end_is_reported_after_everything_that_was_whole() {
    let (mut ours, peer) = channel_and_peer(1);
    peer.hand_over(json!(1), &thing().1);
    send_with(peer.0.stream(), b"2\n{\"half\":", &[]);
    drop(peer);
    assert_eq!(ours.next_handle().0, json!(1));
    assert_eq!(ours.next_message(), json!(2));
    let end = ours.next();
    assert!(
        matches!(end, Received::Closed(Some(RecvError::HalfLine))),
        "not {end:?}"
    );
}

#[test]
fn descriptors_that_were_not_announced_do_not_pile_up() {
    let (mut ours, peer) = channel_and_peer(1);
    let (_other, fd) = thing();
    let name = name_of(&fd);
    for n in 0..200 {
        peer.say_with(&json!(n), &[&fd]);
        assert_eq!(ours.next_message(), json!(n));
    }
    ours.assert_nothing();
    drop(fd);
    assert_eq!(open_here(&name), 0, "no message is for them");
}

/// A limit on descriptors that is reached in the middle of a message: the kernel
/// makes as many as there is room for, and says MSG_CTRUNC. Those that it made
/// have to be closed.
#[test]
fn descriptors_that_arrived_with_a_cut_control_message_are_closed() {
    let (worker, stream) = limited(16, "worker normal").channel();
    let worker = worker.start();
    let mut peer = Peer::new(stream);
    peer.say(&envelope(json!("is it up?")));
    assert_eq!(peer.line()["cmd"], "NODE_HANDLE_NACK");
    let before = fds(worker.pid());
    let (_other, fd) = thing();
    let many: Vec<&OwnedFd> = vec![&fd; 40];
    peer.say_with(&json!("forty at once"), &many);
    peer.say(&envelope(json!("has it read them?")));
    assert_eq!(peer.line()["cmd"], "NODE_HANDLE_NACK");
    let after = fds(worker.pid());
    assert_eq!(after, before, "it keeps descriptors that it does not know of");
}

/// Asks until the worker reads no more: each question wants an answer, and none is
/// read.
fn ask_and_do_not_listen(peer: &mut Peer, question: &[u8]) {
    peer.0.stream().set_nonblocking(true).expect("non-blocking");
    let (mut stuck, mut at) = (0, 0);
    eventually("it reads no more, for a good while", LONG, || {
        stuck += 1;
        loop {
            match peer.0.stream_mut().write(&question[at..]) {
                Ok(written) => {
                    at = (at + written) % question.len();
                    stuck = 0;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("the worker is there: {error}"),
            }
        }
        stuck > 40
    });
    peer.0.stream().set_nonblocking(false).expect("blocking");
}

/// Its answers do not leave, so it reads no more questions. It has to wait for
/// that, in poll(2); and when the peer is gone, it exits.
#[test]
fn a_peer_that_asks_and_does_not_listen_does_not_make_a_worker_spin() {
    let check = |gone: &str| {
        let (worker, mut peer) = worker();
        let question = format!("{}\n", envelope(json!("k".repeat(1 << 10))));
        ask_and_do_not_listen(&mut peer, question.as_bytes());
        if gone == "closed" {
            assert_no_busy_loop(&worker);
        } else {
            peer.0.stream().shutdown(Shutdown::Read).expect("shutdown");
            peer.0.stream().shutdown(Shutdown::Write).expect("shutdown");
            worker.wait(LONG);
        }
        drop(peer);
        let begun = Instant::now();
        worker.wait(LONG);
        assert!(begun.elapsed() < Duration::from_secs(2), "{gone}");
    };
    at_once(["closed", "half-closed"], check);
}

/// No question is lost: as soon as the peer reads, it gets its answers.
#[test]
fn a_peer_that_asks_and_listens_later_gets_every_answer() {
    let (worker, mut peer) = worker();
    let question = format!("{}\n", envelope(json!("k".repeat(1 << 10))));
    let mut stream = peer.0.stream().try_clone().expect("a copy");
    let asking = thread::spawn(move || {
        stream.write_all(question.repeat(20_000).as_bytes()).expect("it is there");
    });
    thread::sleep(Duration::from_millis(500));
    for _ in 0..20_000 {
        assert_eq!(peer.line()["cmd"], "NODE_HANDLE_NACK");
    }
    asking.join().expect("all was written");
    drop(peer);
    worker.wait(LONG);
}

/// Handles that are not acknowledged stay open here, and there are fewer descriptors
/// than bytes: a peer that does not read must not take them all.
#[test]
fn a_peer_that_hands_over_and_does_not_listen_does_not_take_every_descriptor() {
    let (mut ours, mut peer) = channel_and_peer(1);
    let (_other, fd) = thing();
    let has_room = |peer: &Peer| {
        let polled = PollFd::new(peer.0.stream().as_fd(), PollFlags::POLLOUT);
        !poll_tokens(vec![((), polled)], Some(Instant::now()))
            .expect("poll")
            .is_empty()
    };
    let mut handed_over = 0;
    while has_room(&peer) && handed_over < 5_000 {
        peer.hand_over(json!(1), &fd);
        handed_over += 1;
        drop(ours.receive());
    }
    let held = open_here(&name_of(&fd)) - 1;
    assert!(held < 150, "{held} of {handed_over} are held");
    // No handle is lost: as soon as the peer reads, it gets its answers.
    let mut answers = 0;
    eventually("every handle is answered", LONG, || {
        drop(ours.receive());
        answers += peer.lines_here().len();
        answers == handed_over
    });
    assert_eq!(open_here(&name_of(&fd)), 1, "all were delivered");
}

fn peak_memory(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.expect("it is there");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<u64>().ok()).expect("a number") << 10
}

/// Bounds count bytes, and something for each line: neither many small ones nor a
/// few long ones fill the memory of a process whose answers are not read.
#[test]
fn a_peer_that_asks_and_does_not_listen_does_not_fill_our_memory() {
    let short = format!("{}\n", envelope(json!(1)));
    let long = format!("\"{}\"\n", "x".repeat(15 << 20));
    // As many values as a message may have, in as few bytes as they may take.
    let wide = format!("[{}0]\n", "[0],".repeat(100_000));
    let cases = [
        ("short lines", short.clone()),
        ("long lines", short.repeat(12_000) + &long.repeat(8)),
        ("many values", short.repeat(12_000) + &wide.repeat(40)),
    ];
    let check = |(what, lines): (&str, String)| {
        let (worker, mut peer) = worker();
        ask_and_do_not_listen(&mut peer, lines.as_bytes());
        let peak = peak_memory(worker.pid());
        assert!(peak < 100 << 20, "{what}: {} MiB", peak >> 20);
        drop(peer);
        worker.wait(LONG);
    };
    at_once(cases, check);
}

/// A parent whose `normal` runs this script of bash; `special` is a worker.
fn with_hostile_child(script: &str) -> Running {
    let this = env!("CARGO_BIN_EXE_ch02-balance");
    let script = format!(
        "[ $1 = normal ] || exec '{this}' worker $1\nexec 3<>/dev/null\n{script}"
    );
    let words = ["--port", "0", "--exec", "bash", "-c", &script, "bash"];
    serving(program().args(words))
}

/// Every connection is answered by `special`; those that `normal` got come back
/// when it is killed.
#[track_caller]
fn assert_survives(server: &Running) {
    let normal = child_named(server, "normal");
    // It may take a while until the child is held up.
    eventually("the parent rests", LONG, || {
        let before = cpu_time(server.pid());
        thread::sleep(Duration::from_millis(300));
        cpu_time(server.pid()) - before < Duration::from_millis(60)
    });
    if let Some(child) = Process::of(normal) {
        child.signal(Signal::SIGKILL);
    }
    server.wait_for_line(&format!("normal {normal} "));
    load(server, 4).run_total(100).assert_none_lost();
    assert!(zombies_of(server.pid()).is_empty());
    assert_no_busy_loop(server);
}

#[test]
fn a_child_that_asks_and_does_not_listen_does_not_make_the_parent_spin() {
    let question = envelope(json!("k")).to_string();
    let scripts = [
        // It is killed while it waits for room: its parent reads no more.
        format!("while :; do echo '{question}'; done >&$NODE_CHANNEL_FD"),
        // It exits after more than 1,024 questions.
        format!(
            "for i in {{1..3000}}; do echo '{question}'; done >&$NODE_CHANNEL_FD"
        ),
    ];
    at_once(scripts, |script| assert_survives(&with_hostile_child(&script)));
}

/// A line of a log that the outside can cause must not fill the disk.
#[test]
fn a_child_that_sends_garbage_without_end_does_not_fill_the_log() {
    at_once(["garbage", "\"hello\""], |line| {
        let server = with_hostile_child(&format!(
            "while :; do echo '{line}'; done >&$NODE_CHANNEL_FD"
        ));
        thread::sleep(Duration::from_millis(1200));
        let said = server.stderr() + &server.stdout();
        assert!(said.lines().count() < 100, "too much for a second:\n{said}");
        assert!(said.contains("more like"), "and it says so: {said}");
    });
}

#[test]
fn garbage_from_a_child_is_reported_and_the_parent_lives_on() {
    let this = env!("CARGO_BIN_EXE_ch02-balance");
    let server = with_hostile_child(&format!(
        "echo garbage >&$NODE_CHANNEL_FD; exec '{this}' worker normal"
    ));
    server.wait_for_stderr("normal: a line on the channel is not JSON");
    load(&server, 4).run_total(100).assert_none_lost();
}

/// A worker is stopped for longer than its clients may take, and continued: what
/// had arrived by then is read before the clock counts, so no answer is destroyed
/// by a reset.
#[test]
fn a_worker_that_was_stopped_looks_at_what_arrived_before_the_clock_counts() {
    let server = common::server();
    let mut clients: Vec<TcpStream> =
        (0..20).map(|_| common::connect(&server)).collect();
    let children = server.children();
    eventually("all of them are answered", LONG, || {
        children.iter().map(|child| common::connections(child.pid)).sum::<usize>()
            == 20
    });
    children.iter().for_each(|child| assert!(child.signal(Signal::SIGSTOP)));
    for client in &mut clients {
        client.write_all(&[b'x'; 32 << 10]).expect("the kernel takes it");
        client.shutdown(Shutdown::Write).expect("shutdown");
    }
    thread::sleep(Duration::from_millis(1500));
    children.iter().for_each(|child| assert!(child.signal(Signal::SIGCONT)));
    clients.into_iter().for_each(common::assert_answered);
}
