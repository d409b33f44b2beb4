//! What your program has to do. `cargo test -p ex05-send-fd`

use std::fs::File;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ch02_balance::FdStream;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use testkit::{Running, exercise, fds, temp_dir, try_eventually};

/// How long something may take that takes no time.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_file_that_one_process_opens_is_read_by_another() {
    let dir = temp_dir();
    let names = [dir.write("one", "the first"), dir.write("two", "the second")];
    let output = exercise!().args(&names).output();
    let said = |what: &str| output.stdout.lines().find(|line| line.ends_with(what));
    let reader = said("it says: the first").zip(said("it says: the second"));
    let Some((reader, _)) = reader else {
        panic!(
            "the parent opens two files and sends each to its child, which reads it. What they say:\n{}{}\
             Does send(…) put the descriptor into a control message, and is it still open then? Does \
             receive(…) take it out?",
            output.stdout, output.stderr
        );
    };
    let sender = said("one").expect("harness.rs says what it sends");
    assert_ne!(
        pid(sender),
        pid(reader),
        "harness.rs makes a process for each role"
    );
}

#[test]
fn what_was_sent_without_a_descriptor_arrives_without_one() {
    let (program, mut channel) = receiver();
    channel.write_all(b"hello").expect("the program listens");
    let hint = "Five bytes were sent, and nothing with them. Does your function wait for a descriptor?";
    let line = program.wait_for_line_or("hello", hint);
    assert!(
        line.ends_with("received \"hello\" and no descriptor"),
        "five bytes were sent, and nothing with them. Your program says:\n{line}\n\
         What does a loop over the control messages find when there is none?"
    );
}

#[test]
fn the_bytes_arrive_with_the_descriptor_and_it_can_be_written() {
    let (program, channel) = receiver();
    let (mut reader, writer) = pipe();
    send_with(&channel, "write please", [writer]);
    let hint = "A descriptor was sent with these bytes. What does recvmsg(2) return, and what do you?";
    let line = program.wait_for_line_or("received \"write please\" and", hint);
    assert!(
        line.contains("and descriptor "),
        "a pipe was sent with the bytes \"write please\". Your program says:\n{line}\n\
         Has recvmsg(2) a buffer for control messages? Which of them is ScmRights?"
    );
    let wanted = format!("written by {}\n", program.pid());
    let read = read_to_end(&mut reader);
    let read = read.unwrap_or_else(|so_far| {
        panic!(
            "your program has written {so_far:?} to the pipe and closed it, but the pipe has not ended: \
             somebody holds another copy of it.\nThe program's descriptors: {:?}\n\
             Did you make a second descriptor of it, with dup or try_clone?",
            fds(program.pid())
        )
    });
    assert_eq!(
        read, wanted,
        "what comes out of the pipe that your program was sent"
    );
}

#[test]
fn a_connection_works_after_it_was_sent_and_its_sender_lets_go_of_it() {
    let (program, channel) = exercise!().arg("send").channel();
    let program = program.start();
    let mut client =
        TcpStream::connect(program.addr()).expect("the program accepts");
    let mut stream = FdStream::new(channel).expect("a stream");
    let hint = "A client has connected, and `send` should send its connection. Which error does it return?";
    program.wait_for_line_or("has sent a connection", hint);
    let connection = receive(&mut stream, "a connection", 0);
    let connection = connection.unwrap_or_else(|| {
        panic!(
            "your program has sent \"a connection\", and no descriptor came with these bytes. Is the \
             control message in the same sendmsg(2)?"
        )
    });
    let mut connection = TcpStream::from(connection);
    connection.write_all(b"from afar").expect("it is a connection");
    let mut heard = [0; 9];
    client.set_read_timeout(Some(SOON)).expect("a time-out");
    client
        .read_exact(&mut heard)
        .expect("what was written to the connection arrives at the client");
    assert_eq!(&heard, b"from afar");

    let hint = "What does `send` do, when it is given no descriptor?";
    program.wait_for_line_or("has sent a message without", hint);
    let none = receive(&mut stream, "and nothing more", 12);
    assert!(
        none.is_none(),
        "your program has sent \"and nothing more\" without a descriptor, but one came with it"
    );

    // The last copy should be ours.
    drop(connection);
    client.set_read_timeout(Some(Duration::from_secs(2))).expect("a time-out");
    let end = client.read(&mut heard);
    assert!(
        matches!(end, Ok(0)),
        "the connection was sent, its receiver has closed it, and the client still waits: your program \
         (pid {}) holds it too.\nIts descriptors: {:?}\nAn OwnedFd closes when it is dropped. What \
         becomes of yours after sendmsg(2)?",
        program.pid(),
        fds(program.pid())
    );
}

#[test]
fn what_is_received_is_not_inherited_by_the_next_program() {
    let (program, channel) = receiver();
    let (_reader, writer) = pipe();
    let name = name_of(&writer);
    send_with(&channel, "start cat", [writer]);
    let hint =
        "A pipe was sent with \"start cat\". Does your function return both?";
    let started = program.wait_for_line_or("started ", hint);
    let cat: i32 =
        started.rsplit(' ').next().and_then(|it| it.parse().ok()).expect("a pid");
    if let Some((number, _)) =
        fds(cat).into_iter().find(|(_, target)| *target == name)
    {
        panic!(
            "your program received a pipe and then started cat. cat (pid {cat}) has it too, as its \
             descriptor {number}: it would stay open as long as cat runs. recvmsg(2) has a flag for that: \
             which?"
        );
    }
}

#[test]
fn descriptors_that_nobody_expects_are_closed() {
    for extra in [1, 2, 100] {
        let (program, channel) = receiver();
        let (mut reader, writer) = pipe();
        let (_other, unexpected) = pipe();
        let name = name_of(&unexpected);
        let copies = (0..extra).map(|_| unexpected.try_clone().expect("a copy"));
        send_with(&channel, "write this", [writer].into_iter().chain(copies));
        drop(unexpected);

        let hint = "More descriptors came than anybody expects. Does your function return all the same?";
        let line = program.wait_for_line_or(": ", hint);
        assert!(
            line.contains("and descriptor "),
            "{} descriptors came with one message, of which the first belongs to it. Your program says:\
             \n{line}\nHow long is the buffer for control messages? 253 may come.",
            extra + 1
        );
        let leaked: Vec<i32> = fds(program.pid())
            .into_iter()
            .filter(|it| it.1 == name)
            .map(|it| it.0)
            .collect();
        assert!(
            leaked.is_empty(),
            "{} descriptors came with one message. The first is in use, but the others are open too, and \
             nobody knows them: {leaked:?}. Anyone can fill your table like that. Who owns the numbers \
             that you do not return?",
            extra + 1
        );
        let read = read_to_end(&mut reader);
        let wanted = format!("written by {}\n", program.pid());
        assert_eq!(
            read,
            Ok(wanted),
            "the first of {} descriptors is the one that belongs to the message",
            extra + 1
        );
    }
}

#[test]
fn a_descriptor_that_is_lost_on_its_way_in_is_an_error() {
    let (program, mut channel) = exercise!().args(["receive", "--full"]).channel();
    let program = program.start();
    channel.write_all(b"hello").expect("the program listens");
    program.wait_for_line_or(
        "received \"hello\" and no descriptor",
        "That was all that was sent.",
    );
    let (_reader, writer) = pipe();
    send_with(&channel, "write this", [writer]);
    let line = program.wait_for_lines(": ", 2).swap_remove(1);
    assert!(
        line.contains("error: "),
        "your program has no number free (EMFILE), and was sent a descriptor. recvmsg(2) does not fail \
         then: it returns the bytes, and sets MSG_CTRUNC. Your program says:\n{line}\nas if none had been \
         sent. Whoever believes that drops a connection. What does cmsgs() return in this case?"
    );
    channel.write_all(b"and on").expect("the program listens");
    let hint = "A descriptor was lost, and after that a message came without one. Did the error end all?";
    program.wait_for_line_or("received \"and on\" and no descriptor", hint);
}

#[test]
fn the_end_of_the_stream_is_a_message_without_bytes() {
    let (program, mut channel) = receiver();
    channel.write_all(b"good bye").expect("the program listens");
    program.wait_for_line_or(
        "good bye",
        "These bytes were sent, and nothing with them.",
    );
    drop(channel);
    let hint = "The other end was closed. What does recvmsg(2) return then, and what do you?";
    program.wait_for_line_or("the stream has ended", hint);
    assert!(
        program.wait(SOON).success(),
        "harness.rs ends with 0 at the end of the stream"
    );
}

/// Your program as the one that receives, and our end of the stream.
#[track_caller]
fn receiver() -> (Running, UnixStream) {
    let (program, channel) = exercise!().arg("receive").channel();
    (program.start(), channel)
}

fn pipe() -> (File, OwnedFd) {
    let (reader, writer) =
        nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("a pipe");
    (reader.into(), writer)
}

/// What /proc calls it: `pipe:[4711]`.
fn name_of(fd: &OwnedFd) -> String {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
        .expect("it is open");
    link.to_string_lossy().into_owned()
}

/// The process that a line of harness.rs is from.
fn pid(line: &str) -> &str {
    line.split(':').next().unwrap_or_default()
}

/// Sends these with the first byte, and closes our copies.
#[track_caller]
fn send_with(
    channel: &UnixStream,
    text: &str,
    fds: impl IntoIterator<Item = OwnedFd>,
) {
    let fds: Vec<OwnedFd> = fds.into_iter().collect();
    let numbers: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let bytes = [IoSlice::new(text.as_bytes())];
    let sent = sendmsg::<()>(
        channel.as_raw_fd(),
        &bytes,
        &rights,
        MsgFlags::empty(),
        None,
    );
    assert_eq!(sent, Ok(text.len()), "the program listens");
}

/// Reads this text, which is byte `from` of the stream and those after it. Returns the descriptor that
/// came with it.
#[track_caller]
fn receive(stream: &mut FdStream, text: &str, from: u64) -> Option<OwnedFd> {
    let mut buffer = vec![0; text.len()];
    let mut filled = 0;
    try_eventually(SOON, || match stream.read(&mut buffer[filled..]) {
        Ok(read) => {
            filled += read;
            (read == 0 || filled == text.len()).then_some(())
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("cannot read what your program has sent: {error}"),
    });
    assert_eq!(
        String::from_utf8_lossy(&buffer[..filled]),
        text,
        "your program says that it has sent the bytes on the right; those on the left have come. Which \
         of its bytes did sendmsg(2) get?"
    );
    stream.take_fd(&(from..from + text.len() as u64))
}

/// All that comes out of a pipe; or what has come so far, if it does not end in time.
fn read_to_end(reader: &mut File) -> Result<String, String> {
    let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
    nix::fcntl::fcntl(&*reader, flags).expect("O_NONBLOCK");
    let mut read = Vec::new();
    let ended = try_eventually(SOON, || match reader.read_to_end(&mut read) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        result => Some(result.is_ok()),
    });
    let text = String::from_utf8_lossy(&read).into_owned();
    if ended == Some(true) { Ok(text) } else { Err(text) }
}
