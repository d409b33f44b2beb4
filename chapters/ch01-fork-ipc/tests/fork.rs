//! A child by fork alone. fork needs a process with one thread, and the usual test harness
//! has several. So this test is a plain program (`harness = false` in Cargo.toml).

mod common;

use std::{
    env,
    io::{Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    process::id,
};

use ch01_fork_ipc::{Channel, Child, ExitStatus};
use common::{message, patient};
use nix::unistd;
use serde_json::json;
use testkit::{Program, fds, threads};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("prints once") => prints_once(),
        // A test runner asks for a list of tests, or filters them by name.
        Some("--list") => {}
        _ => {
            exits_with_the_code_of_its_body();
            holds_its_channel_and_no_other_descriptor();
            reads_eof_although_there_is_a_sibling();
            // The last: it starts threads, which read the output of a program.
            prints_nothing_that_its_parent_has_buffered();
            println!("tests/fork.rs: 4 passed");
        }
    }
}

#[track_caller]
fn fork(body: impl FnOnce(UnixStream) -> i32) -> (Child, UnixStream) {
    assert_eq!(threads(id() as i32), 1, "fork needs a process with one thread");
    // SAFETY: one thread, and no `body` here owns a descriptor.
    let (child, stream) = unsafe { Child::fork(body) }.expect("it forks");
    patient(&stream);
    (child, stream)
}

#[track_caller]
fn assert_exits(child: &mut Child, code: i32) {
    assert_eq!(child.wait().expect("it is ours"), ExitStatus::Exited(code));
}

fn exits_with_the_code_of_its_body() {
    for code in [0, 1, 7, 255] {
        assert_exits(&mut fork(|_| code).0, code);
    }
    // A panic does not unwind into the code of the parent.
    let body = |_| {
        std::panic::set_hook(Box::new(|_| {}));
        panic!()
    };
    assert_exits(&mut fork(body).0, 101);
}

/// Needs a process of its own, because it looks at all that this process prints.
fn prints_nothing_that_its_parent_has_buffered() {
    let this = env::current_exe().expect("this program");
    let output = Program::new(this).arg("prints once").output();
    assert_eq!(output.stdout, "buffered, dropped", "{output:?}");
}

fn prints_once() {
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            print!("dropped");
        }
    }
    print!("buffered, ");
    let loud = Loud;
    for code in [0, 1] {
        assert_exits(&mut fork(|_| code).0, code);
    }
    drop(loud);
}

fn holds_its_channel_and_no_other_descriptor() {
    let (_reader, _writer) = unistd::pipe().expect("a pipe");
    let (mut sibling, to_sibling) = fork(read_to_eof);
    let (mut child, stream) = fork(|stream| {
        let open: Vec<_> = fds(id() as i32).into_iter().map(|it| it.0).collect();
        let report = json!({"channel": stream.as_raw_fd(), "open": open});
        i32::from(Channel::new(stream).send(&report).is_err())
    });
    let report = message(&mut Channel::new(stream));
    // 0, 1, 2, the channel, and perhaps the folder from which the list was read.
    let open = report["open"].as_array().expect("a list");
    assert!(open.contains(&report["channel"]), "{report}");
    assert!((4..=5).contains(&open.len()), "{report}");
    assert_exits(&mut child, 0);
    drop(to_sibling);
    assert_exits(&mut sibling, 0);
}

fn reads_eof_although_there_is_a_sibling() {
    let (mut first, to_first) = fork(read_to_eof);
    let (mut second, mut to_second) = fork(read_to_eof);
    drop(to_first);
    assert_exits(&mut first, 0);
    assert_eq!(second.try_wait().expect("it is ours"), None);
    to_second.write_all(b"it still reads").expect("it still reads");
    drop(to_second);
    assert_exits(&mut second, 0);
}

fn read_to_eof(mut stream: UnixStream) -> i32 {
    i32::from(stream.read_to_end(&mut Vec::new()).is_err())
}
