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
use serde_json::json;
use testkit::{Running, TempDir, exercise, fds, temp_dir, try_eventually};

/// Far more time than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);

#[test]
fn what_is_no_socket_is_told_apart() {
    let dir = temp_dir();
    let mut child = Child::start();
    for thing in files(&dir) {
        let said = child.describe(thing.what, &thing.fd);
        let hint = match &*said.kind {
            "a terminal" => {
                "A terminal is a character device, but not every device is one."
            }
            _ => "Do you mask the mode with S_IFMT before you compare it?",
        };
        assert_eq!(
            said.kind, thing.kind,
            "your program was sent {}, and says what is on the left. fstat(2) tells files, pipes, \
             devices and sockets apart, and isatty(3) a terminal from other devices. {hint}",
            thing.what
        );
    }
}

#[test]
fn sockets_are_told_apart() {
    let dir = temp_dir();
    let mut child = Child::start();
    for thing in sockets(&dir) {
        let said = child.describe(thing.what, &thing.fd);
        let hint = if ["a file", "a pipe", "a terminal", "a device"]
            .contains(&&*said.kind)
        {
            "fstat(2) tells sockets from files. Do you mask the mode with S_IFMT before you \
             compare it?"
        } else {
            "There are two questions: the type of a socket (SO_TYPE), and whether it listens \
             (SO_ACCEPTCONN); socket(7). Do you ask both?"
        };
        assert_eq!(
            said.kind, thing.kind,
            "your program was sent {}, and says what is on the left. {hint}",
            thing.what
        );
    }
}

#[test]
fn it_says_how_each_was_opened() {
    let dir = temp_dir();
    let mut child = Child::start();
    for thing in files(&dir).into_iter().chain(sockets(&dir)) {
        let said = child.describe(thing.what, &thing.fd);
        assert_eq!(
            said.access, thing.access,
            "your program was sent {}, and says that it was opened for what is on the left. The \
             access mode is in the flags (F_GETFL), but it is a number and not a flag: O_RDONLY is \
             0, O_WRONLY is 1 and O_RDWR is 2. Do you mask them with O_ACCMODE?",
            thing.what
        );
    }
}

#[test]
fn it_says_whether_each_blocks() {
    let mut child = Child::start();
    for nonblocking in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        listener.set_nonblocking(nonblocking).expect("a flag");
        let flags = if nonblocking { OFlag::O_NONBLOCK } else { OFlag::empty() };
        let (reader, _writer) = pipe2(OFlag::O_CLOEXEC | flags).expect("a pipe");
        for (what, fd) in [("a listener", listener.into()), ("a pipe", reader)] {
            let said = child.describe(what, &fd);
            let wanted = if nonblocking { "does not block" } else { "blocks" };
            assert_eq!(
                said.blocks, wanted,
                "your program was sent {what}, and says what is on the left. Is O_NONBLOCK among \
                 its flags (F_GETFL)?"
            );
        }
    }
}

#[test]
fn it_says_the_addresses_of_both_ends() {
    let dir = temp_dir();
    let mut child = Child::start();
    for thing in files(&dir).into_iter().chain(sockets(&dir)) {
        let said = child.describe(thing.what, &thing.fd);
        assert_eq!(
            said.addresses, thing.addresses,
            "your program was sent {}, and says that its addresses are what is on the left. \
             getsockname(2) tells the address of our end, and getpeername(2) that of the other, \
             or ENOTCONN. What is no socket has no address, and is no error",
            thing.what
        );
    }
}

#[test]
fn it_accepts_what_fits_the_purpose() {
    let dir = temp_dir();
    let mut child = Child::start();
    let (mut wrong, mut cases) = (Vec::new(), 0);
    for thing in files(&dir).into_iter().chain(sockets(&dir)) {
        for purpose in ["read", "write", "accept"] {
            cases += 1;
            let said = child.send(purpose, thing.what, &thing.fd);
            let wanted = if fits(&thing, purpose) { "accepted" } else { "refused" };
            if !said.starts_with(wanted) {
                let what = thing.what;
                wrong.push(format!(
                    "to {purpose}: {what}: should be {wanted}, and is {said}"
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "of {cases} cases {} are wrong. The first of them:\n  {}\nThe list is above `accept`. The \
         access mode alone does not tell: a listener, a directory and a socket without a peer \
         have one too, and cannot be read",
        wrong.len(),
        wrong[..wrong.len().min(8)].join("\n  ")
    );
}

#[test]
fn what_is_refused_is_closed_and_what_is_accepted_stays_open() {
    let mut child = Child::start();
    let refused: OwnedFd = UdpSocket::bind("127.0.0.1:0").expect("a socket").into();
    let said = child.send("accept", "a UDP socket", &refused);
    assert_eq!(
        child.numbers_of(&refused),
        [0; 0],
        "a UDP socket was sent to accept from, and your program says: {said}. It should have \
         closed it, but has it open as the descriptors on the left. An OwnedFd is closed when it \
         is dropped: what becomes of this one?"
    );
    let accepted: OwnedFd =
        TcpListener::bind("127.0.0.1:0").expect("a listener").into();
    let said = child.send("accept", "a listener", &accepted);
    assert_eq!(
        child.numbers_of(&accepted).len(),
        1,
        "a listener was sent to accept from, and your program says: {said}. It should have it \
         open once. On the left is how many descriptors it has for it. Did `describe` close it, \
         or copy it?"
    );
}

#[test]
fn to_ask_changes_nothing() {
    let mut child = Child::start();
    let dir = temp_dir();

    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let addr = listener.local_addr().expect("its address");
    let _client = TcpStream::connect(addr).expect("we listen");
    let before = flags_of(&listener);
    child.describe("a listener", &listener);
    assert_eq!(
        flags_of(&listener),
        before,
        "your program was sent a listener, and has changed its flags, perhaps O_NONBLOCK. They \
         belong to the socket, so to every process that has it. Do you try accept(2)? The kernel \
         can be asked whether a socket listens"
    );
    listener.set_nonblocking(true).expect("a flag");
    assert!(
        listener.accept().is_ok(),
        "a client was waiting at a listener. Your program was asked what the listener is, and now \
         the client is gone. Do you try accept(2) to find out? Its client is lost then"
    );

    let (ours, theirs) = UnixStream::pair().expect("a pair");
    (&ours).write_all(b"!").expect("the pair is connected");
    child.describe("a Unix stream", &theirs);
    theirs.set_nonblocking(true).expect("a flag");
    assert!(
        matches!((&theirs).read(&mut [0]), Ok(1)),
        "a byte was waiting in a Unix stream. Your program was asked what the stream is, and now \
         the byte is gone. Do you read from it to find out?"
    );

    let path = dir.write("file", "some text");
    let mut file = File::open(path).expect("just written");
    file.seek(SeekFrom::Start(4)).expect("it is a file");
    child.describe("a file", &file);
    assert_eq!(
        file.stream_position().expect("it is a file"),
        4,
        "your program was asked what a file is, and has moved its position, which all processes \
         that have it share (open(2)). Do you read or seek?"
    );
}

/// Something to send, and what your program should say about it.
struct Thing {
    what: &'static str,
    kind: &'static str,
    access: &'static str,
    addresses: String,
    fd: OwnedFd,
}

fn thing(
    what: &'static str,
    kind: &'static str,
    access: &'static str,
    fd: impl Into<OwnedFd>,
) -> Thing {
    Thing { what, kind, access, addresses: String::new(), fd: fd.into() }
}

/// What is no socket.
fn files(dir: &TempDir) -> Vec<Thing> {
    let path = dir.write("file", "some text");
    let reads = File::open(&path).expect("just written");
    let mut options = OpenOptions::new();
    let appends = options.append(true).open(&path).expect("just written");
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true);
    let does_both = options.open(&path).expect("just written");
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    let path = dir.path().join("fifo");
    let _ = std::fs::remove_file(&path);
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a FIFO");
    // For one end alone, open(2) would wait for the other (fifo(7)).
    let fifo = options.open(&path).expect("just made");
    let null = File::open("/dev/null").expect("it is always there");
    let directory = File::open(dir.path()).expect("it is there");
    let mut things = vec![
        thing("a file, opened for reading", "a file", "read", reads),
        thing("a file, opened to append to it", "a file", "write", appends),
        thing("a file, opened for both", "a file", "read and write", does_both),
        thing("the reading end of a pipe", "a pipe", "read", reader),
        thing("the writing end of a pipe", "a pipe", "write", writer),
        thing("a FIFO, opened for both", "a pipe", "read and write", fifo),
        thing("/dev/null, opened for reading", "a device", "read", null),
        thing("a directory", "something else", "read", directory),
    ];
    // The master's end of a terminal (pts(4)). Some containers have none.
    let options = options.custom_flags(OFlag::O_NOCTTY.bits());
    if let Ok(terminal) = options.open("/dev/ptmx") {
        things.push(thing("a terminal", "a terminal", "read and write", terminal));
    }
    things
}

fn sockets(dir: &TempDir) -> Vec<Thing> {
    let socket_thing = |what, kind, addresses: String, fd| Thing {
        addresses,
        ..thing(what, kind, "read and write", fd)
    };
    let mut things = Vec::new();
    let mut add = |what, kind, addresses, fd: OwnedFd| {
        things.push(socket_thing(what, kind, addresses, fd));
    };
    for ip in ["127.0.0.1:0", "[::1]:0"] {
        // Some machines have no IPv6.
        let Ok(listener) = TcpListener::bind(ip) else { continue };
        let at = listener.local_addr().expect("its address");
        let client = TcpStream::connect(at).expect("we listen");
        let from = client.local_addr().expect("its address");
        let (server, _) = listener.accept().expect("the client");
        let stream = "a stream socket";
        add(
            "a TCP connection, its client's end",
            stream,
            format!("local {from}, peer {at}"),
            client.into(),
        );
        add(
            "a TCP connection, its server's end",
            stream,
            format!("local {at}, peer {from}"),
            server.into(),
        );
        add("a TCP listener", "a listener", format!("local {at}"), listener.into());
        let udp = UdpSocket::bind(ip).expect("a UDP socket");
        let at = udp.local_addr().expect("its address");
        let connected = UdpSocket::bind(ip).expect("a UDP socket");
        connected.connect(at).expect("its address");
        let from = connected.local_addr().expect("its address");
        let datagram = "a datagram socket";
        add("a UDP socket", datagram, format!("local {at}"), udp.into());
        add(
            "a UDP socket that is connected",
            datagram,
            format!("local {from}, peer {at}"),
            connected.into(),
        );
    }
    let flags = SockFlag::SOCK_CLOEXEC;
    let unconnected = socket(AddressFamily::Inet, SockType::Stream, flags, None)
        .expect("a socket");
    add(
        "a TCP socket that is not connected",
        "a stream socket",
        "local 0.0.0.0:0".to_owned(),
        unconnected,
    );
    things.extend(unix_sockets(dir));
    things
}

fn unix_sockets(dir: &TempDir) -> Vec<Thing> {
    let path = dir.path().join("socket");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("a Unix listener");
    let client = UnixStream::connect(&path).expect("we listen");
    let (server, _) = listener.accept().expect("the client");
    let (pair, _) = UnixStream::pair().expect("a pair");
    let (datagram, _) = UnixDatagram::pair().expect("a pair");
    let (family, flags) = (AddressFamily::Unix, SockFlag::SOCK_CLOEXEC);
    let (packet, _) = socketpair(family, SockType::SeqPacket, None, flags)
        .expect("a pair of sockets");
    let (stream, path) = ("a stream socket", path.display());
    let unnamed = || "local unnamed, peer unnamed".to_owned();
    let both = "read and write";
    let cases = [
        (
            thing("a Unix stream, its client's end", stream, both, client),
            format!("local unnamed, peer {path}"),
        ),
        (
            thing("a Unix stream, its server's end", stream, both, server),
            format!("local {path}, peer unnamed"),
        ),
        (
            thing("a Unix listener", "a listener", both, listener),
            format!("local {path}"),
        ),
        (thing("one of a pair of Unix streams", stream, both, pair), unnamed()),
        (
            thing("a Unix datagram socket", "a datagram socket", both, datagram),
            unnamed(),
        ),
        (
            thing("a Unix socket for packets", "something else", both, packet),
            unnamed(),
        ),
    ];
    cases.map(|(thing, addresses)| Thing { addresses, ..thing }).into()
}

/// The list above `accept`.
fn fits(thing: &Thing, purpose: &str) -> bool {
    let has_bytes = match thing.kind {
        "a file" | "a pipe" | "a terminal" | "a device" => true,
        "a stream socket" => thing.addresses.contains("peer "),
        _ => false,
    };
    match purpose {
        "accept" => thing.kind == "a listener",
        _ => has_bytes && thing.access.contains(purpose),
    }
}

/// Your program as a child that is sent descriptors.
struct Child {
    program: Running,
    channel: FdChannel,
    /// How many it was sent.
    sent: usize,
}

/// A line that your program has printed.
struct Said {
    kind: String,
    access: String,
    blocks: String,
    addresses: String,
}

impl Child {
    #[track_caller]
    fn start() -> Child {
        let (program, channel) = exercise!().arg("receive").channel();
        let channel = FdChannel::new(channel, 1).expect("a channel");
        Child { program: program.start(), channel, sent: 0 }
    }

    #[track_caller]
    fn describe(&mut self, what: &str, fd: &impl AsFd) -> Said {
        let line = self.send("describe", what, fd);
        let said = line.strip_prefix("described: ").unwrap_or_default();
        let mut parts = said.splitn(4, ", ").map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Said { kind: next(), access: next(), blocks: next(), addresses: next() }
    }

    /// Sends it a copy of this, and returns what it says about it.
    #[track_caller]
    fn send(&mut self, message: &str, what: &str, fd: &impl AsFd) -> String {
        let copy = fd.as_fd().try_clone_to_owned().expect("a copy");
        // If your program has exited, what follows says so.
        let _ = self.channel.send_handle("net.Native", json!(message), copy);
        self.sent += 1;
        let mut has_ended = false;
        let line = try_eventually(LIMIT, || {
            // In this order: what it says before its end is not missed.
            has_ended = self.program.output_ended();
            // Reads the acknowledgement. Without it, the next would not leave.
            let _ = self.channel.receive();
            let said = self.program.stdout();
            let line = said.lines().nth(self.sent - 1).map(str::to_owned);
            (line.is_some() || has_ended).then_some(line)
        });
        match line.flatten() {
            Some(line) => line,
            None if has_ended => {
                let stderr = self.program.stderr();
                let hint = if stderr.contains("non-socket") {
                    "\nOnly a socket has addresses and options. Do you ask fstat(2) first?"
                } else if stderr.contains("not connected") {
                    "\nFor a socket without a peer, getpeername(2) says ENOTCONN. That is no \
                     error here."
                } else {
                    ""
                };
                panic!(
                    "your program was sent {what}, and has exited.{hint}\n{}",
                    self.program.describe()
                )
            }
            None => panic!(
                "your program was sent {what}, and has said nothing about it in {LIMIT:?}. Do \
                 you read from it, or accept, to find out what it is? That blocks.\n{}",
                self.program.describe()
            ),
        }
    }

    /// Under which numbers it has this open.
    fn numbers_of(&self, fd: &OwnedFd) -> Vec<i32> {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let name = link.expect("it is open").to_string_lossy().into_owned();
        let open = fds(self.program.pid()).into_iter();
        open.filter(|it| it.1 == name).map(|it| it.0).collect()
    }
}

/// The flags that belong to the open file, and not to the descriptor.
fn flags_of(fd: &impl AsFd) -> i32 {
    fcntl(fd, FcntlArg::F_GETFL).expect("it is open")
}
