//! What your program has to do. `cargo test -p ex08-handle-types`

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::time::Duration;

use ch02_balance::FdChannel;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket, socketpair};
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, pipe2};
use serde_json::{Map, Value};
use testkit::{Running, TempDir, exercise, fds, temp_dir, try_eventually};

/// How long something may take that takes no time.
const SOON: Duration = Duration::from_secs(5);

/// The types that an envelope can have, and two that nobody knows.
const TYPES: [&str; 7] = [
    "net.Socket",
    "net.Server",
    "net.Native",
    "dgram.Socket",
    "dgram.Native",
    "net.socket",
    "",
];

#[test]
fn what_is_no_socket_is_told_apart() {
    let dir = temp_dir();
    for (what, wanted, fd) in things(&dir) {
        if !wanted.ends_with("socket")
            && !wanted.ends_with("listener")
            && !wanted.ends_with("stream")
        {
            let said = stdin_is(what, fd);
            let hint = if said == "a terminal" {
                "A terminal is a device, but not every device is a terminal."
            } else {
                "Do you mask the mode with S_IFMT before you compare it?"
            };
            assert_eq!(
                said, wanted,
                "standard input is {what}, and your program takes it for {said}. fstat(2) tells a \
                 regular file, a FIFO, a directory, a socket and a device apart; isatty(3) tells a \
                 terminal. {hint}"
            );
        }
    }
}

#[test]
fn a_socket_that_listens_is_no_connection() {
    let dir = temp_dir();
    for (what, wanted, fd) in things(&dir) {
        if wanted.contains("TCP") || wanted.contains("Unix") {
            let said = stdin_is(what, fd);
            assert_eq!(
                said, wanted,
                "standard input is {what}, and your program takes it for {said}. The address family is \
                 one question (IPv4 and IPv6 are two families), and there is one more: SO_ACCEPTCONN, \
                 socket(7). Which of them did you ask?"
            );
        }
    }
}

#[test]
fn a_datagram_is_no_stream() {
    let dir = temp_dir();
    for (what, wanted, fd) in things(&dir) {
        if wanted == "a UDP socket"
            || what.contains("Unix datagram")
            || what.contains("packet")
        {
            let said = stdin_is(what, fd);
            assert_eq!(
                said, wanted,
                "standard input is {what}, and your program takes it for {said}. What is its SO_TYPE, \
                 and what is its address family? Only both together tell."
            );
        }
    }
}

#[test]
fn an_envelope_that_does_not_fit_is_refused() {
    let dir = temp_dir();
    let mut child = Child::start();
    let (mut wrong, mut cases) = (Vec::new(), 0);
    for (what, is, fd) in things(&dir) {
        for said in TYPES {
            cases += 1;
            let copy = fd.try_clone().expect("a copy");
            let heard = child.pass(said, what, copy);
            let wanted = if fits(said, is) { "accepted" } else { "refused" };
            let wanted = format!("{said}: {wanted} {is}");
            if !heard.starts_with(&wanted) {
                wrong.push(format!(
                    "{what}: your program says \"{heard}\", and not \"{wanted}\""
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "of {cases} cases {} are wrong. The first of them:\n  {}\nThe table is above accept(…). Does it ask kind_of(…), or does \
         it believe the envelope?",
        wrong.len(),
        wrong[..wrong.len().min(8)].join("\n  ")
    );
}

#[test]
fn what_is_refused_is_closed_and_what_is_accepted_stays_open() {
    let mut child = Child::start();
    let udp: OwnedFd = UdpSocket::bind("127.0.0.1:0").expect("a socket").into();
    let refused = name_of(&udp);
    child.pass("net.Server", "a UDP socket", udp);
    assert_eq!(
        child.numbers_of(&refused),
        [0; 0],
        "a UDP socket came as 'net.Server' and was refused, but your program still holds it under these \
         numbers. An OwnedFd that is dropped is closed: where does it go?"
    );
    let listener: OwnedFd =
        TcpListener::bind("127.0.0.1:0").expect("a listener").into();
    let accepted = name_of(&listener);
    let heard = child.pass("net.Server", "a TCP listener", listener);
    assert_eq!(
        child.numbers_of(&accepted).len(),
        1,
        "a TCP listener came as 'net.Server'. Your program says: {heard}. On the left is how many \
         descriptors it has for it now. Did kind_of(…) close it, or copy it?"
    );
}

#[test]
fn to_ask_changes_nothing() {
    let mut child = Child::start();
    let dir = temp_dir();

    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let _client = TcpStream::connect(listener.local_addr().expect("bound"))
        .expect("we listen");
    let before = flags_of(&listener);
    child.pass(
        "net.Server",
        "a TCP listener",
        listener.try_clone().expect("a copy").into(),
    );
    assert_eq!(
        flags_of(&listener),
        before,
        "your program has changed the flags of a listener, O_NONBLOCK perhaps. They are the listener's, so \
         its owner's too. There is a way to ask whether it listens, without trying"
    );
    listener.set_nonblocking(true).expect("fcntl");
    assert!(
        listener.accept().is_ok(),
        "a client was waiting at a listener. Your program was asked what the listener is, and now the \
         client is gone. Has it called accept(2) to find out? Its client is lost then"
    );

    let (ours, theirs) = UnixStream::pair().expect("a pair");
    (&ours).write_all(b"!").expect("the pair is connected");
    child.pass(
        "net.Socket",
        "a Unix stream",
        theirs.try_clone().expect("a copy").into(),
    );
    theirs.set_nonblocking(true).expect("fcntl");
    assert!(
        matches!((&theirs).read(&mut [0]), Ok(1)),
        "a byte was waiting in a Unix stream. Your program was asked what the stream is, and now the byte \
         is gone. Has it read it to find out?"
    );

    let mut file =
        File::open(dir.write("file", "some text")).expect("just written");
    file.seek(SeekFrom::Start(4)).expect("it is a file");
    child.pass("net.Native", "a file", file.try_clone().expect("a copy").into());
    assert_eq!(
        file.stream_position().expect("it is a file"),
        4,
        "your program was asked what a file is, and has moved its position, which all who hold the file \
         share (open(2)). Has it read, or sought?"
    );
}

/// Things to ask about: what it is, what your program should take it for, and the thing itself.
fn things(dir: &TempDir) -> Vec<(&'static str, &'static str, OwnedFd)> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let client = TcpStream::connect(listener.local_addr().expect("bound"))
        .expect("we listen");
    let (server, _) = listener.accept().expect("the client");
    let path = dir.path().join("socket");
    let _ = std::fs::remove_file(&path);
    let unix_listener = UnixListener::bind(&path).expect("a Unix listener");
    let unix_client = UnixStream::connect(&path).expect("we listen");
    let (pair, _) = UnixStream::pair().expect("a pair");
    let (datagram, _) = UnixDatagram::pair().expect("a pair");
    let flags = SockFlag::SOCK_CLOEXEC;
    let (packet, _) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
            .expect("a pair");
    let unconnected = socket(AddressFamily::Inet, SockType::Stream, flags, None)
        .expect("a socket");
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    let file = File::open(dir.write("file", "some text")).expect("just written");
    let path = dir.path().join("fifo");
    let _ = std::fs::remove_file(&path);
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a FIFO");
    // With one end alone, open(2) would wait for the other (fifo(7)).
    let fifo =
        OpenOptions::new().read(true).write(true).open(&path).expect("a FIFO");
    let null = File::open("/dev/null").expect("it is always there");
    let directory = File::open(dir.path()).expect("it is there");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut things = vec![
        ("a TCP connection, its client's end", "a TCP socket", client.into()),
        ("a TCP connection, its server's end", "a TCP socket", server.into()),
        ("a TCP socket that is not connected", "a TCP socket", unconnected),
        ("a TCP listener", "a TCP listener", listener.into()),
        (
            "one of a pair of Unix streams, which has no address",
            "a Unix stream",
            pair.into(),
        ),
        ("a Unix stream", "a Unix stream", unix_client.into()),
        ("a Unix listener", "a Unix listener", unix_listener.into()),
        ("a UDP socket", "a UDP socket", udp.into()),
        ("a pipe's reading end", "a pipe", reader),
        ("a pipe's writing end", "a pipe", writer),
        ("a FIFO, which is a pipe with a name", "a pipe", fifo.into()),
        ("a regular file", "a file", file.into()),
        ("/dev/null", "something else", null.into()),
        ("a directory", "something else", directory.into()),
        ("a Unix datagram socket", "something else", datagram.into()),
        ("a Unix socket for packets", "something else", packet),
    ];
    // The master's end of one (pts(4)). Not every container has terminals…
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
    if let Ok(terminal) = options.open("/dev/ptmx") {
        things.push(("a terminal", "a terminal", terminal.into()));
    }
    // …and not every machine has IPv6.
    if let Ok(listener) = TcpListener::bind("[::1]:0") {
        things.push(("a TCP listener for IPv6", "a TCP listener", listener.into()));
    }
    if let Ok(udp) = UdpSocket::bind("[::1]:0") {
        things.push(("a UDP socket for IPv6", "a UDP socket", udp.into()));
    }
    things
}

/// The table above `accept`.
fn fits(said: &str, is: &str) -> bool {
    let stream = ["a TCP socket", "a Unix stream"].contains(&is);
    let listener = ["a TCP listener", "a Unix listener"].contains(&is);
    match said {
        "net.Socket" => stream,
        "net.Server" => listener,
        "net.Native" => stream || listener || is == "a pipe",
        "dgram.Socket" | "dgram.Native" => is == "a UDP socket",
        _ => false,
    }
}

/// What your program takes this for, as its standard input.
#[track_caller]
fn stdin_is(what: &str, fd: OwnedFd) -> String {
    let output = exercise!().stdin(fd).limit(SOON).output();
    match output.stdout.trim_end().strip_prefix("standard input is ") {
        Some(kind) => kind.to_owned(),
        None => panic!(
            "standard input is {what}. Your program should say what it is, and has ended with {}:\n{}{}",
            output.status,
            output.stderr,
            if output.stderr.contains("non-socket") {
                "Only a socket has an address and options. Do you ask fstat(2) first?"
            } else {
                ""
            }
        ),
    }
}

/// Your program as a child that is sent descriptors.
struct Child {
    program: Running,
    channel: FdChannel,
    /// How many it was sent.
    sent: usize,
}

impl Child {
    #[track_caller]
    fn start() -> Child {
        let (program, channel) = exercise!().arg("receive").channel();
        let channel = FdChannel::new(channel).expect("a channel");
        Child { program: program.start(), channel, sent: 0 }
    }

    /// Sends it this, and returns what it says to that.
    #[track_caller]
    fn pass(&mut self, said: &str, what: &str, fd: OwnedFd) -> String {
        self.channel
            .pass(said, Map::new(), Value::Null, fd)
            .expect("the channel has room");
        self.sent += 1;
        let mut ended = false;
        let line = try_eventually(SOON, || {
            // In this order: what it says before it ends is not missed.
            ended =
                self.program.try_wait().is_some() && self.program.output_ended();
            // Hears the acknowledgement of the one before: this one leaves only then.
            let _ = self.channel.recv();
            let line =
                self.program.stdout().lines().nth(self.sent - 1).map(str::to_owned);
            if line.is_none() && ended { Some(String::new()) } else { line }
        });
        let line = line.unwrap_or_default();
        assert!(
            !line.is_empty(),
            "your program was sent {what} as '{said}', and {}\nIt has said:\n{}{}",
            if ended {
                "has ended."
            } else {
                "says nothing to that. Does it read, or accept, to find out what it is? That blocks."
            },
            self.program.stdout(),
            self.program.stderr()
        );
        line
    }

    /// Under which numbers it has this open.
    fn numbers_of(&self, name: &str) -> Vec<i32> {
        fds(self.program.pid())
            .into_iter()
            .filter(|it| it.1 == name)
            .map(|it| it.0)
            .collect()
    }
}

/// What /proc calls it: `socket:[4711]`.
fn name_of(fd: &OwnedFd) -> String {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
        .expect("it is open");
    link.to_string_lossy().into_owned()
}

/// The flags that belong to what is open, and not to the descriptor.
fn flags_of(fd: &impl AsFd) -> i32 {
    fcntl(fd, FcntlArg::F_GETFL).expect("it is open")
}
