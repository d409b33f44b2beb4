//! Descriptors beside the bytes: what the kernel does, and what `FdStream` makes
//! of it.

mod common;

use std::{
    io::{ErrorKind, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::Arc,
};

use ch01_fork_ipc::Channel;
use ch02_balance::FdStream;
use common::{is_cloexec, name_of, open_here, send_with, thing};
use serde_json::json;

fn stream_and_peer() -> (FdStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    (FdStream::new(ours).expect("a stream"), theirs)
}

fn two_streams() -> (FdStream, FdStream) {
    let (ours, theirs) = stream_and_peer();
    (ours, FdStream::new(theirs).expect("a stream"))
}

/// Reads once.
#[track_caller]
fn read_bytes(stream: &mut FdStream) -> String {
    let mut buffer = [0; 65536];
    let read = stream.read(&mut buffer).expect("something is there");
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

/// Reads once: the bytes, and the name of the descriptor that is taken then.
#[track_caller]
fn read(stream: &mut FdStream) -> (String, Option<String>) {
    let text = read_bytes(stream);
    (text, stream.take_fd().map(|fd| name_of(&fd)))
}

/// A read stops after the bytes that were sent with a descriptor.
#[test]
fn one_read_never_brings_the_descriptors_of_two_writes() {
    let (mut ours, theirs) = stream_and_peer();
    let fds: Vec<OwnedFd> = (0..3).map(|_| thing().1).collect();
    let names: Vec<String> = fds.iter().map(name_of).collect();
    for (text, fd) in
        [("A", None), ("B", Some(0)), ("C", None), ("D", Some(1)), ("E", Some(2))]
    {
        let with: Vec<&OwnedFd> = fd.map(|n: usize| &fds[n]).into_iter().collect();
        send_with(&theirs, text.as_bytes(), &with);
    }
    assert_eq!(read(&mut ours), ("AB".to_owned(), Some(names[0].clone())));
    assert_eq!(read(&mut ours), ("CD".to_owned(), Some(names[1].clone())));
    assert_eq!(read(&mut ours), ("E".to_owned(), Some(names[2].clone())));
    let nothing = ours.read(&mut [0]).expect_err("it does not block");
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
}

#[test]
fn chapter_1s_channel_works_on_top_of_it_unchanged() {
    let (ours, theirs) = stream_and_peer();
    let fds: Vec<OwnedFd> = (0..2).map(|_| thing().1).collect();
    send_with(&theirs, b"1\n{\"half\":", &[]);
    send_with(&theirs, b"2}\n\"with\"\n", &[&fds[0]]);
    send_with(&theirs, b"\"with\"\n5\n", &[&fds[1]]);
    drop(theirs);
    let mut channel = Channel::new(ours);
    let mut names = Vec::new();
    let lines =
        [json!(1), json!({"half": 2}), json!("with"), json!("with"), json!(5)];
    for expected in lines {
        assert_eq!(channel.recv().expect("a good line"), Some(expected.clone()));
        if expected == "with" {
            let fd = channel.stream_mut().take_fd().expect("its descriptor");
            names.push(name_of(&fd));
        }
    }
    assert_eq!(names, [name_of(&fds[0]), name_of(&fds[1])], "in order");
    assert_eq!(channel.recv().expect("the end"), None);
}

#[test]
fn descriptors_that_no_message_wants_can_be_discarded() {
    let (mut ours, theirs) = stream_and_peer();
    let (_other, fd) = thing();
    let name = name_of(&fd);
    send_with(&theirs, b"garbage", &[&fd]);
    drop(fd);
    read_bytes(&mut ours);
    assert_eq!(open_here(&name), 1);
    ours.discard_fds();
    assert_eq!(open_here(&name), 0);
    assert!(ours.take_fd().is_none());
}

/// `attach` goes with the next byte; the bytes of a long write that leave later
/// have none.
#[test]
fn a_descriptor_leaves_with_the_first_byte_and_only_once() {
    let (mut ours, mut theirs) = two_streams();
    let (_other, fd) = thing();
    let name = name_of(&fd);
    ours.write_all(b"before ").expect("the kernel takes it");
    ours.attach(Arc::new(fd));
    assert_eq!(open_here(&name), 1, "attached is not sent");
    ours.write_all(b"with ").expect("the kernel takes it");
    assert_eq!(open_here(&name), 0, "the kernel has its own, ours is closed");
    ours.write_all(b"after").expect("the kernel takes it");
    assert_eq!(read(&mut theirs), ("before with ".to_owned(), Some(name)));
    assert_eq!(read(&mut theirs), ("after".to_owned(), None));
}

#[test]
fn a_full_socket_keeps_the_descriptor_for_the_byte_that_leaves_later() {
    let (mut ours, mut theirs) = two_streams();
    while ours.write(&[b'x'; 4096]).is_ok() {}
    let (_other, fd) = thing();
    let name = name_of(&fd);
    ours.attach(Arc::new(fd));
    let full = ours.write(b"with").expect_err("it is full");
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    assert_eq!(open_here(&name), 1, "nothing was written, so it was not sent");
    while theirs.read(&mut [0; 65536]).is_ok() {}
    ours.write_all(b"with").expect("there is room again");
    assert_eq!(read(&mut theirs), ("with".to_owned(), Some(name)));
}

#[test]
fn what_arrives_is_closed_by_the_next_exec() {
    let (mut ours, theirs) = stream_and_peer();
    let (_other, fd) = thing();
    send_with(&theirs, b"x", &[&fd]);
    read_bytes(&mut ours);
    let arrived = ours.take_fd().expect("it is there, too");
    assert!(is_cloexec(&arrived), "a child that is started next would inherit it");
}

/// The protocol has one a message. A sender of more must not fill our table.
#[test]
fn of_several_descriptors_in_one_message_the_first_counts_and_the_rest_is_closed() {
    let (mut ours, theirs) = stream_and_peer();
    let ((_o1, first), (_o2, other)) = (thing(), thing());
    let (first_name, other_name) = (name_of(&first), name_of(&other));
    let mut all = vec![&first];
    all.extend(vec![&other; 252]);
    send_with(&theirs, b"x", &all);
    drop((first, other));
    read_bytes(&mut ours);
    assert_eq!((open_here(&first_name), open_here(&other_name)), (1, 0));
    assert_eq!(ours.take_fd().map(|fd| name_of(&fd)), Some(first_name));
    assert!(ours.take_fd().is_none());
}

#[test]
fn descriptors_that_belong_to_no_message_are_bounded_and_closed() {
    let (mut ours, theirs) = stream_and_peer();
    let (_other, fd) = thing();
    let name = name_of(&fd);
    for _ in 0..100 {
        send_with(&theirs, b"x", &[&fd]);
        read_bytes(&mut ours);
        assert!(open_here(&name) <= 3, "ours, and two that wait at most");
    }
    drop(fd);
    drop(ours);
    assert_eq!(open_here(&name), 0, "they are closed with the stream");
}
