//! Descriptors beside the bytes: what the kernel does, and what `FdStream` makes of it.

mod common;

use std::{
    io::{self, ErrorKind, Read, Write},
    ops::Range,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::Arc,
};

use ch01_fork_ipc::Channel;
use ch02_balance::FdStream;
use common::{is_cloexec, name_of, open_here, send_with, thing};
use serde_json::json;

/// Reads, and counts: which bytes of the stream were the last that came?
struct Reader {
    stream: FdStream,
    last: Range<u64>,
}

impl Reader {
    fn new(socket: UnixStream) -> Reader {
        Reader { stream: FdStream::new(socket).expect("a stream"), last: 0..0 }
    }

    /// Reads once.
    fn bytes(&mut self) -> io::Result<String> {
        let mut buffer = [0; 65536];
        let read = self.stream.read(&mut buffer)?;
        self.last = self.last.end..self.last.end + read as u64;
        Ok(String::from_utf8_lossy(&buffer[..read]).into_owned())
    }

    /// The descriptor that came with them.
    fn fd(&mut self) -> Option<OwnedFd> {
        self.stream.take_fd(&self.last)
    }

    /// Reads once; what came, and what the descriptor that came with it refers to.
    fn both(&mut self) -> (String, Option<String>) {
        (
            self.bytes().expect("something is there"),
            self.fd().map(|fd| name_of(&fd)),
        )
    }
}

fn reader_and_peer() -> (Reader, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    (Reader::new(ours), theirs)
}

fn writer_and_reader() -> (FdStream, Reader) {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    (FdStream::new(ours).expect("a stream"), Reader::new(theirs))
}

/// The bytes before a descriptor are glued to it, those behind it are not.
#[test]
fn one_read_never_brings_the_descriptors_of_two_writes() {
    let (mut ours, theirs) = reader_and_peer();
    let fds: Vec<OwnedFd> = (0..3).map(|_| thing().1).collect();
    let names: Vec<String> = fds.iter().map(name_of).collect();
    for (text, fd) in
        [("A", None), ("B", Some(0)), ("C", None), ("D", Some(1)), ("E", Some(2))]
    {
        let with: Vec<&OwnedFd> = fd.map(|n: usize| &fds[n]).into_iter().collect();
        send_with(&theirs, text.as_bytes(), &with);
    }
    assert_eq!(ours.both(), ("AB".to_owned(), Some(names[0].clone())));
    assert_eq!(ours.both(), ("CD".to_owned(), Some(names[1].clone())));
    assert_eq!(ours.both(), ("E".to_owned(), Some(names[2].clone())));
    let nothing = ours.bytes().expect_err("it does not block");
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
}

#[test]
fn the_framing_goes_on_top_and_never_hears_of_descriptors() {
    let (ours, theirs) = reader_and_peer();
    let fds: Vec<OwnedFd> = (0..2).map(|_| thing().1).collect();
    send_with(&theirs, b"1\n{\"half\":", &[]);
    send_with(&theirs, b"2}\n3\n", &[&fds[0]]);
    send_with(&theirs, b"4\n5\n", &[&fds[1]]);
    drop(theirs);
    let mut channel = Channel::new(ours.stream);
    for expected in [json!(1), json!({"half": 2}), json!(3), json!(4), json!(5)] {
        assert_eq!(channel.recv().expect("a good line"), Some(expected.clone()));
        // One read may bring many messages. Which of them has the descriptor, its envelope says.
        let message = channel.last_line();
        let mut take =
            || channel.stream_mut().take_fd(&message).map(|fd| name_of(&fd));
        if expected == 3 {
            assert_eq!(take(), Some(name_of(&fds[0])));
            assert_eq!(take(), None, "it came once");
        } else if expected == 4 {
            assert_eq!(take(), Some(name_of(&fds[1])));
        } else if expected == 5 {
            assert_eq!(take(), None);
        }
    }
    assert_eq!(channel.recv().expect("the end"), None);
}

/// Nobody takes the first: then it must not be given to the next.
#[test]
fn a_descriptor_belongs_to_the_bytes_that_it_came_with() {
    let (mut ours, theirs) = reader_and_peer();
    let ((_o1, first), (_o2, second)) = (thing(), thing());
    let (first_name, second_name) = (name_of(&first), name_of(&second));
    send_with(&theirs, b"first", &[&first]);
    send_with(&theirs, b"second", &[&second]);
    drop((first, second));
    ours.bytes().expect("the first");
    assert_eq!(ours.both(), ("second".to_owned(), Some(second_name.clone())));
    assert_eq!(
        (open_here(&first_name), open_here(&second_name)),
        (0, 0),
        "closed, and taken"
    );
    send_with(&theirs, b"third", &[]);
    assert_eq!(ours.both(), ("third".to_owned(), None));
}

#[test]
fn what_came_with_bytes_that_are_no_message_can_be_discarded() {
    let (mut ours, theirs) = reader_and_peer();
    let (_other, fd) = thing();
    let name = name_of(&fd);
    send_with(&theirs, b"garbage", &[&fd]);
    drop(fd);
    ours.bytes().expect("it is there");
    let bytes = ours.last.clone();
    assert!(ours.stream.discard_fd(&bytes), "there was one");
    assert_eq!(open_here(&name), 0);
    assert!(!ours.stream.discard_fd(&bytes), "and now there is none");
}

/// `attach` goes with the next byte; the bytes of a long write that leave later have none.
#[test]
fn a_descriptor_leaves_with_the_first_byte_and_only_once() {
    let (mut ours, mut theirs) = writer_and_reader();
    let (_other, fd) = thing();
    let name = name_of(&fd);
    ours.write_all(b"before ").expect("the kernel takes it");
    ours.attach(Arc::new(fd));
    assert_eq!(open_here(&name), 1, "attached is not sent");
    ours.write_all(b"with ").expect("the kernel takes it");
    assert_eq!(
        open_here(&name),
        0,
        "sent: the kernel has its own reference, ours is closed"
    );
    ours.write_all(b"after").expect("the kernel takes it");
    assert_eq!(theirs.both(), ("before with ".to_owned(), Some(name)));
    assert_eq!(theirs.both(), ("after".to_owned(), None));
}

#[test]
fn a_full_socket_keeps_the_descriptor_for_the_byte_that_leaves_later() {
    let (mut ours, mut theirs) = writer_and_reader();
    while ours.write(&[b'x'; 4096]).is_ok() {}
    let (_other, fd) = thing();
    let name = name_of(&fd);
    ours.attach(Arc::new(fd));
    assert_eq!(
        ours.write(b"with").expect_err("it is full").kind(),
        ErrorKind::WouldBlock
    );
    assert_eq!(open_here(&name), 1, "nothing was written, so it was not sent");
    while theirs.bytes().is_ok() {}
    ours.write_all(b"with").expect("there is room again");
    assert_eq!(theirs.both(), ("with".to_owned(), Some(name)));
}

#[test]
fn what_arrives_is_closed_by_the_next_exec() {
    let (mut ours, theirs) = reader_and_peer();
    let (_other, fd) = thing();
    send_with(&theirs, b"x", &[&fd]);
    ours.bytes().expect("it is there");
    let arrived = ours.fd().expect("it is there, too");
    assert!(is_cloexec(&arrived), "a child that is started next would inherit it");
}

/// The protocol has one a message. Whoever sends more must not fill our table.
#[test]
fn of_several_descriptors_in_one_message_the_first_counts_and_the_rest_is_closed() {
    let (mut ours, theirs) = reader_and_peer();
    let ((_o1, first), (_o2, other)) = (thing(), thing());
    let (first_name, other_name) = (name_of(&first), name_of(&other));
    let mut all = vec![&first];
    all.extend(vec![&other; 252]);
    send_with(&theirs, b"x", &all);
    drop((first, other));
    ours.bytes().expect("it is there");
    assert_eq!((open_here(&first_name), open_here(&other_name)), (1, 0));
    assert_eq!(ours.fd().map(|fd| name_of(&fd)), Some(first_name));
    assert!(ours.fd().is_none());
}

#[test]
fn descriptors_that_belong_to_no_message_are_bounded_and_closed() {
    let (mut ours, theirs) = reader_and_peer();
    let (_other, fd) = thing();
    let name = name_of(&fd);
    for _ in 0..100 {
        send_with(&theirs, b"x", &[&fd]);
        ours.bytes().expect("it is there");
    }
    drop(fd);
    let waiting = open_here(&name);
    assert!(
        (1..=8).contains(&waiting),
        "{waiting} of 100 wait for a message that never comes"
    );
    drop(ours);
    assert_eq!(open_here(&name), 0, "and they go with the stream");
}
