//! What a descriptor is: what the envelope says, and what the kernel says.

mod common;

use std::{
    fs::File,
    io::Read,
    net::{Ipv6Addr, TcpListener, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixListener, UnixStream},
    },
};

use ch03_handles::{Handle, Kind};
use common::{tcp_listener, tcp_pair, udp};
use nix::{
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
    unistd::pipe,
};
use testkit::temp_dir;

const TYPES: [&str; 5] =
    ["net.Socket", "net.Server", "net.Native", "dgram.Socket", "dgram.Native"];

/// A socket that is neither bound nor connected.
fn fresh(family: AddressFamily, kind: SockType) -> OwnedFd {
    socket(family, kind, SockFlag::SOCK_CLOEXEC, None).expect("a socket")
}

fn unix_listener() -> UnixListener {
    let dir = temp_dir();
    UnixListener::bind(dir.path().join("s")).expect("a Unix listener")
}

/// One of everything, with what it is.
fn everything() -> Vec<(&'static str, OwnedFd, Kind)> {
    let (reader, writer) = pipe().expect("a pipe");
    let (connection, client) = tcp_pair();
    let mut all = vec![
        ("an accepted TCP connection", connection.into(), Kind::Tcp),
        ("a TCP client", client.into(), Kind::Tcp),
        (
            "an unconnected TCP socket",
            fresh(AddressFamily::Inet, SockType::Stream),
            Kind::Tcp,
        ),
        ("a TCP listener", tcp_listener().into(), Kind::TcpListener),
        ("a Unix pair", UnixStream::pair().expect("a pair").0.into(), Kind::Unix),
        (
            "an unconnected Unix stream",
            fresh(AddressFamily::Unix, SockType::Stream),
            Kind::Unix,
        ),
        ("a Unix listener", unix_listener().into(), Kind::UnixListener),
        ("a bound UDP socket", udp().into(), Kind::Udp),
        (
            "an unbound UDP socket",
            fresh(AddressFamily::Inet, SockType::Datagram),
            Kind::Udp,
        ),
        ("a pipe to read", reader, Kind::Pipe),
        ("a pipe to write", writer, Kind::Pipe),
        (
            "a Unix datagram",
            UnixDatagram::unbound().expect("a socket").into(),
            Kind::Other,
        ),
        (
            "a Unix seqpacket",
            fresh(AddressFamily::Unix, SockType::SeqPacket),
            Kind::Other,
        ),
        (
            "a device",
            File::open("/dev/null").expect("it is there").into(),
            Kind::Other,
        ),
        ("a directory", File::open("/").expect("it is there").into(), Kind::Other),
        (
            "a file",
            File::open(std::env::current_exe().expect("this")).expect("it").into(),
            { Kind::Other },
        ),
    ];
    // Not every machine has IPv6.
    if let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        let udp = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0))
            .expect("UDP where there is TCP");
        all.push(("a TCP listener, IPv6", listener.into(), Kind::TcpListener));
        all.push(("a UDP socket, IPv6", udp.into(), Kind::Udp));
        all.push((
            "a TCP socket, IPv6",
            fresh(AddressFamily::Inet6, SockType::Stream),
            Kind::Tcp,
        ));
    }
    all
}

/// Whether a descriptor of this kind may be sent in an envelope of the type `said`.
fn belongs(said: &str, is: Kind) -> bool {
    match said {
        "net.Socket" => matches!(is, Kind::Tcp | Kind::Unix | Kind::Pipe),
        "net.Server" => matches!(is, Kind::TcpListener | Kind::UnixListener),
        "net.Native" => !matches!(is, Kind::Udp | Kind::Other),
        "dgram.Socket" | "dgram.Native" => is == Kind::Udp,
        _ => false,
    }
}

#[test]
fn the_kernel_says_what_a_descriptor_is() {
    for (what, fd, is) in everything() {
        assert_eq!(
            Kind::of(&fd).expect("fstat works on anything open"),
            is,
            "{what}"
        );
    }
}

#[test]
fn an_envelope_is_believed_only_if_the_kernel_agrees() {
    for said in TYPES.into_iter().chain(["", "net.socket", "net.Pipe", "Server"]) {
        for (what, fd, is) in everything() {
            match Handle::from_fd(said, fd) {
                Ok(handle) => {
                    assert!(belongs(said, is), "{what} was taken for a '{said}'");
                    // A pipe is no connection.
                    let sent_on =
                        if is == Kind::Pipe { "net.Native" } else { said };
                    assert_eq!(
                        handle.node_type(),
                        sent_on,
                        "{what} must be sent on with the type that it had"
                    );
                    assert_eq!(
                        Kind::of(&handle).expect("open"),
                        is,
                        "{what} in '{said}'"
                    );
                }
                Err(wrong) => {
                    assert!(
                        !belongs(said, is),
                        "{what} is a '{said}', but was refused: {wrong}"
                    );
                    assert_eq!((&*wrong.said, wrong.is), (said, is), "{what}");
                }
            }
        }
    }
}

#[test]
fn a_refusal_reads_like_a_sentence() {
    let (pipe, _writer) = pipe().expect("a pipe");
    let cases = [
        (pipe, "net.Server", "a handle was sent as 'net.Server', but it is a pipe"),
        (
            udp().into(),
            "net.Native",
            "a handle was sent as 'net.Native', but it is a UDP socket",
        ),
        (
            tcp_listener().into(),
            "net.Socket",
            "a handle was sent as 'net.Socket', but it is a TCP listener",
        ),
        (
            unix_listener().into(),
            "dgram.Socket",
            "a handle was sent as 'dgram.Socket', but it is a Unix listener",
        ),
        (
            UnixDatagram::unbound().expect("a socket").into(),
            "net.Server",
            "a handle was sent as 'net.Server', but it is something else",
        ),
    ];
    for (fd, said, sentence) in cases {
        assert_eq!(
            Handle::from_fd(said, fd).expect_err(said).to_string(),
            sentence
        );
    }
}

#[test]
fn a_refused_descriptor_is_closed() {
    let (theirs, mut ours) = UnixStream::pair().expect("a pair");
    Handle::from_fd("net.Server", theirs.into())
        .expect_err("a connection is no listener");
    assert_eq!(
        ours.read(&mut [0]).expect("the end"),
        0,
        "its other end must see it closed"
    );
}
