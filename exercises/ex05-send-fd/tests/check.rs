//! What your program has to do. `cargo test -p ex05-send-fd`

use std::fs::File;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg,
};
use testkit::{Running, exercise, fds, fds_in_words, temp_dir, try_eventually};

/// Far more time than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);

#[test]
fn a_command_of_another_process_uses_our_standard_streams() {
    let dir = temp_dir();
    let input = File::open(dir.write("input", "b\na\n")).expect("just written");
    let command = "sort; echo a warning >&2";
    let program = exercise!().arg(command).stdin(input).start();
    let ended = try_eventually(LIMIT, || program.output_ended().then_some(()));
    let (stdout, stderr) = (program.stdout(), program.stderr());
    assert!(
        ended.is_some() && stdout == "a\nb\n" && stderr.contains("a warning\n"),
        "your program sends the command `{command}` and its three standard streams to another \
         process, which runs the command with them. {}\n--- standard output should be the sorted \
         lines a and b, and is\n{stdout}\n--- standard error should have a warning, and is\n\
         {stderr}\n---\nIs each descriptor still open when `send` calls sendmsg(2)? Does \
         `receive` return all three, in their order?",
        match ended {
            Some(()) => String::from("Your program has exited."),
            None => format!("After {LIMIT:?} your program has not exited."),
        }
    );
}

#[test]
fn bytes_that_are_sent_alone_arrive_alone() {
    let (program, channel) = start(&["receive"]);
    send_with(&program, &channel, "hello", &[]);
    let hint =
        "Five bytes were sent, and no descriptor. Does `receive` wait for one?";
    let line = program.wait_for_line_or("received ", hint);
    assert!(
        line.ends_with("received \"hello\" and 0 descriptors"),
        "the five bytes \"hello\" were sent, and no descriptor. Your program says:\n{line}\n\
         recvmsg(2) returns how many bytes it has read, and the buffer is longer. What does \
         harness::numbers return if there is no control message?"
    );
}

#[test]
fn all_descriptors_arrive_in_their_order() {
    for count in [1, 3] {
        let (program, channel) = start(&["receive"]);
        let (mut readers, writers): (Vec<_>, Vec<_>) =
            (0..count).map(|_| pipe()).unzip();
        send_with(&program, &channel, "write to these", &writers);
        drop(writers);
        must_receive(&program, "write to these", count);
        for (index, reader) in readers.iter_mut().enumerate() {
            let wanted =
                format!("descriptor {index}, written by {}\n", program.pid());
            let read = must_end(&program, reader);
            assert_eq!(
                read, wanted,
                "{count} pipes were sent in one message, and your program was to write the \
                 text on the right into number {index} of them. The text on the left comes \
                 out. Are `fds` in the order of the control message?"
            );
        }
    }
}

#[test]
fn two_hundred_descriptors_arrive_in_one_message() {
    let (program, channel) = start(&["receive"]);
    let (mut reader, writer) = pipe();
    let writers: Vec<OwnedFd> =
        (0..200).map(|_| writer.try_clone().expect("a copy")).collect();
    send_with(&program, &channel, "write to all", &writers);
    drop((writer, writers));
    must_receive(&program, "write to all", 200);
    let read = must_end(&program, &mut reader);
    assert_eq!(
        read.lines().count(),
        200,
        "200 copies of one pipe were sent, and your program was to write one line into each"
    );
}

#[test]
fn a_program_that_is_started_next_inherits_none_of_them() {
    let (program, channel) = start(&["receive"]);
    let ((_one, first), (_two, second)) = (pipe(), pipe());
    let names = [name_of(&first), name_of(&second)];
    send_with(&program, &channel, "start cat", &[first, second]);
    must_receive(&program, "start cat", 2);
    let started = program.wait_for_line("started ");
    let cat: i32 =
        started.rsplit(' ').next().and_then(|it| it.parse().ok()).expect("a pid");
    let inherited = open_in(cat, &names);
    assert!(
        inherited.is_empty(),
        "your program received two pipes, and then started cat. cat (process {cat}) has them \
         too, as its descriptors {inherited:?}, so they stay open as long as cat runs. \
         recvmsg(2) has a flag for that: which?"
    );
}

#[test]
fn a_list_that_was_cut_off_is_an_error_and_all_of_it_is_closed() {
    for room in [0, 1, 2] {
        let (program, channel) = start(&["receive", "--room", &room.to_string()]);
        let (_readers, writers): (Vec<_>, Vec<_>) = (0..3).map(|_| pipe()).unzip();
        let names: Vec<String> = writers.iter().map(name_of).collect();
        send_with(&program, &channel, "keep these", &writers);
        drop(writers);
        let story = format!(
            "3 descriptors were sent in one message, and your program has free \
             descriptor numbers for {room} of them"
        );
        let line = says(&program, &story);
        assert!(
            line.contains("error: "),
            "{story}. recvmsg(2) does not fail then: the kernel opens {room} of them, drops the \
             others and sets MSG_CTRUNC. `receive` should return an error. Your program says:\n\
             {line}\nDo you look at the flags that recvmsg(2) returns?"
        );
        let leaked = open_in(program.pid(), &names);
        assert!(
            leaked.is_empty(),
            "{story}. `receive` returns an error, as it should. But the descriptors that did \
             arrive are still open, with the numbers {leaked:?}, and no code of yours knows \
             them. nix's cmsgs() returns an error in this case and does not show them. \
             harness::numbers does: which code closes the descriptors that it returns?"
        );
        send_with(&program, &channel, "and on", &[]);
        let hint = "A list of descriptors was cut off, and then a message without descriptors was \
                    sent. Does `receive` go on after the error?";
        program.wait_for_line_or("received \"and on\" and 0 descriptors", hint);
    }
}

#[test]
fn the_end_of_the_stream_is_a_message_without_bytes() {
    let (program, channel) = start(&["receive"]);
    send_with(&program, &channel, "good bye", &[]);
    program.wait_for_line("received \"good bye\" and 0 descriptors");
    drop(channel);
    let hint = "The other side has closed the stream. What does recvmsg(2) return then, and what \
                does `receive`?";
    program.wait_for_line_or("end of the stream", hint);
}

#[test]
fn all_are_sent_beside_the_first_byte_and_our_copies_are_closed() {
    let dir = temp_dir();
    let texts = ["one", "two", "three"];
    let paths = texts.map(|text| dir.write(text, text));
    let (program, channel) = exercise!().arg("send").args(&paths).channel();
    let program = program.start();
    let (said, files) = receive_from(&program, &channel, "some files");
    assert_eq!(
        (&*said, files.len()),
        ("some files", 3),
        "your program sends the text \"some files\" and 3 descriptors. What arrived is on the \
         left. All descriptors belong into one control message, beside the first byte"
    );
    let contents = files.into_iter().map(|fd| {
        let mut text = String::new();
        File::from(fd).read_to_string(&mut text).map(|_| text)
    });
    let contents: Vec<String> =
        contents.collect::<Result<_, _>>().unwrap_or_else(|error| {
            panic!(
                "your program opens three files and sends them, but what arrived cannot be \
                 read: {error}. Which numbers do you put into the control message?"
            )
        });
    assert_eq!(
        contents, texts,
        "your program opens three files with the texts on the right, and sends them. The texts on \
         the left were read from what arrived, in that order"
    );

    program.wait_for_line("has sent 3 files");
    let names = paths.map(|path| path.display().to_string());
    let kept = open_in(program.pid(), &names);
    assert!(
        kept.is_empty(),
        "your program (process {}) has sent three files, and still has them open, as {kept:?}. A \
         connection that is sent like this would stay open when its receiver closes it. An \
         OwnedFd is closed when it is dropped: what becomes of yours after sendmsg(2)?",
        program.pid()
    );

    let hint = "The second message has no descriptors. What does `send` do with an empty list?";
    program.wait_for_line_or("has sent a message without", hint);
    let (said, files) = receive_from(&program, &channel, "and no file");
    assert_eq!(
        (&*said, files.len()),
        ("and no file", 0),
        "your program sends the text \"and no file\" without descriptors. What arrived is on the \
         left"
    );
}

#[test]
fn more_than_253_are_refused_and_nothing_is_sent() {
    let (program, channel) = start(&["send", "--too-many"]);
    let story = "Your program is to send 254 descriptors in one message, which the kernel does not \
                 allow (SCM_MAX_FD, unix(7)). `send` should return the error InvalidInput.";
    let line = says(&program, story);
    assert!(
        line.ends_with("refused: InvalidInput"),
        "{story} Your program says:\n{line}\nDoes `send` give the whole list to sendmsg(2)? It \
         returns EINVAL."
    );
    let (said, files) = receive_from(&program, &channel, "and on");
    assert_eq!(
        (&*said, files.len()),
        ("and on", 0),
        "`send` has refused 254 descriptors, and then your program has sent the text \"and on\". \
         What arrived is on the left. If a message is refused, nothing of it is sent: no byte, \
         and no part of the list"
    );
    let kept = fds(program.pid());
    assert!(
        kept.len() < 254,
        "`send` has refused 254 descriptors, and your program (process {}) has {} open now. This \
         process's own copies are closed when `send` returns, with an error too. What becomes of \
         yours if sendmsg(2) fails?",
        program.pid(),
        kept.len()
    );
}

/// Your program with these arguments, and our end of its channel.
#[track_caller]
fn start(args: &[&str]) -> (Running, UnixStream) {
    let (program, channel) = exercise!().args(args).channel();
    (program.start(), channel)
}

fn pipe() -> (File, OwnedFd) {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    (reader.into(), writer)
}

/// What /proc calls it: `pipe:[4711]`.
fn name_of(fd: &OwnedFd) -> String {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    link.expect("it is open").to_string_lossy().into_owned()
}

/// The descriptors of a process that refer to one of these.
fn open_in(pid: i32, names: &[String]) -> Vec<i32> {
    let open = fds(pid).into_iter().filter(|(_, name)| names.contains(name));
    open.map(|(number, _)| number).collect()
}

/// The first line that harness.rs prints.
#[track_caller]
fn says(program: &Running, story: &str) -> String {
    program.wait_for_line_or(&format!("{}: ", program.pid()), story)
}

/// Waits until your program has received this text, with so many descriptors.
#[track_caller]
fn must_receive(program: &Running, text: &str, count: usize) {
    let story =
        format!("The text {text:?} was sent, with {count} descriptors beside it.");
    let line = says(program, &story);
    assert!(
        line.ends_with(&format!("received {text:?} and {count} descriptors")),
        "{story} Your program says:\n{line}\nHow long is your buffer for control messages? A \
         message can have up to 253 descriptors. Which of the numbers in it do you return?"
    );
}

/// Sends the text, with the descriptors beside its first byte.
#[track_caller]
fn send_with(program: &Running, channel: &UnixStream, text: &str, fds: &[OwnedFd]) {
    let numbers: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let bytes = [IoSlice::new(text.as_bytes())];
    let fd = channel.as_raw_fd();
    let sent = sendmsg::<()>(fd, &bytes, &rights, MsgFlags::empty(), None);
    if let Err(error) = sent {
        panic!(
            "cannot send {text:?} to your program: {error}\n{}",
            at_end(program)
        );
    }
}

/// What your program has sent: as many bytes as `text` has, and the descriptors
/// beside the first of them.
#[track_caller]
fn receive_from(
    program: &Running,
    channel: &UnixStream,
    text: &str,
) -> (String, Vec<OwnedFd>) {
    let (mut bytes, mut fds) = (Vec::new(), None);
    let complete = try_eventually(LIMIT, || {
        let mut buffer = vec![0; text.len() - bytes.len()];
        let mut control = cmsg_space!([RawFd; 253]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
        let mut buffers = [IoSliceMut::new(&mut buffer)];
        let fd = channel.as_raw_fd();
        let message = recvmsg::<()>(fd, &mut buffers, Some(&mut control), flags);
        let message = match message {
            Err(Errno::EAGAIN) => return None,
            message => message.expect("a stream that can be read"),
        };
        let mut new = Vec::new();
        for part in message.cmsgs().expect("enough free numbers") {
            if let ControlMessageOwned::ScmRights(numbers) = part {
                // SAFETY: the kernel has just opened them for us.
                let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
                new.extend(numbers.into_iter().map(own));
            }
        }
        let length = message.bytes;
        fds.get_or_insert(new);
        bytes.extend_from_slice(&buffer[..length]);
        (length == 0 || bytes.len() == text.len()).then_some(())
    });
    let said = String::from_utf8_lossy(&bytes).into_owned();
    assert!(
        complete.is_some() && bytes.len() == text.len(),
        "your program should send the text {text:?}. {}, and only {said:?} has arrived.\n{}",
        match complete {
            Some(()) => String::from("Its channel has ended"),
            None => format!("{LIMIT:?} have passed"),
        },
        at_end(program)
    );
    (said, fds.unwrap_or_default())
}

/// What there is to tell about a program whose channel has ended.
fn at_end(program: &Running) -> String {
    let _ = try_eventually(Duration::from_secs(1), || {
        program.output_ended().then_some(())
    });
    program.describe()
}

/// All that comes out of a pipe into which your program has written, up to its end.
#[track_caller]
fn must_end(program: &Running, reader: &mut File) -> String {
    program.wait_for_line("and closed them");
    fcntl(&*reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a flag");
    let mut read = Vec::new();
    let ended = try_eventually(LIMIT, || match reader.read_to_end(&mut read) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        result => Some(result),
    });
    let text = String::from_utf8_lossy(&read).into_owned();
    assert!(
        ended.is_some_and(|result| result.is_ok()),
        "your program has written {text:?} to a pipe and has closed it, but after {LIMIT:?} the \
         pipe has not ended: your program (process {}) has another copy of it. Its \
         descriptors: {}\nDid you make a second descriptor of it, with dup or try_clone?",
        program.pid(),
        fds_in_words(&fds(program.pid()))
    );
    text
}
