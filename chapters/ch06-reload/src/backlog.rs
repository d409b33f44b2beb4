// ANCHOR: top
//! The end of a listener: no new connection is made, and all in the backlog are
//! answered.
//!
//! A client is connected as soon as the kernel has finished the handshake, long
//! before accept(2). Until then its connection waits in the listener's backlog. When
//! the last descriptor of a listener is closed, the kernel resets what waits there.

use std::{
    io, mem,
    net::TcpListener,
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

use nix::{errno::Errno, libc};
// ANCHOR_END: top

// ANCHOR: closing
/// How long what waits in the backlog may take to be accepted when the server stops.
const LIMIT: Duration = Duration::from_secs(5);

/// How often to look whether the backlog is empty.
const LOOK: Duration = Duration::from_millis(10);

/// A second SIGTERM so soon is the same request: timeout(1) signals its child and then
/// the child's process group.
const SAME_REQUEST: Duration = Duration::from_millis(10);

/// A server that stops, since this time: what waits in the backlog is accepted before
/// the workers drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing(pub Instant);

impl Closing {
    /// Whether the workers can drain. Not at once: the last handshakes may take a
    /// moment.
    pub fn is_over(self, now: Instant, is_empty: bool) -> bool {
        (is_empty && self.0 + LOOK <= now) || self.0 + LIMIT <= now
    }

    /// When to look again.
    pub fn deadline(self, now: Instant) -> Instant {
        now + LOOK
    }

    /// Whether a signal at `now` is a second one, which means: at once.
    pub fn is_repeated(self, now: Instant) -> bool {
        self.0 + SAME_REQUEST <= now
    }
}
// ANCHOR_END: closing

// ANCHOR: filter
/// A program for the kernel (classic BPF): load the byte with the TCP flags; if ACK
/// is set, keep the packet; else drop it. A packet without ACK is a SYN: the first
/// of a new connection.
#[cfg(target_os = "linux")]
const NO_NEW_CONNECTIONS: [libc::sock_filter; 4] = {
    const FLAGS: u32 = 13;
    const ACK: u32 = 0x10;
    const fn code(code: u32, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt: 0, jf, k }
    }
    [
        code(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, FLAGS),
        code(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 1, ACK),
        code(libc::BPF_RET | libc::BPF_K, 0, u32::MAX),
        code(libc::BPF_RET | libc::BPF_K, 0, 0),
    ]
};
// ANCHOR_END: filter

// ANCHOR: refuse
/// From now on, the kernel drops the first packet of each new connection. A client's
/// kernel sends it again after a second; by then the listener is closed, and the
/// client is refused. Nothing is accepted that would be reset later.
///
/// This belongs to the socket: it holds for every process that has it.
///
/// # Errors
/// Those of setsockopt(2). Only Linux has it: elsewhere `Unsupported`.
pub fn drop_new_connections(listener: &TcpListener) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let mut filter = NO_NEW_CONNECTIONS;
        let program = libc::sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_mut_ptr(),
        };
        let attach = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
        // SAFETY: the kernel reads the program, which lives until then.
        match unsafe { set_option(listener, attach, &program) } {
            // Some kernels allow that only with CAP_NET_ADMIN.
            Err(Errno::EPERM) => Ok(drop_distant(listener)?),
            result => Ok(result?),
        }
    }
    #[cfg(not(target_os = "linux"))]
    Err(io::ErrorKind::Unsupported.into())
}
// ANCHOR_END: refuse

// ANCHOR: drop_distant
/// The same, without a privilege: each packet has a number that every router lowers
/// (TTL in IPv4, hop limit in IPv6; systems send 64 or 128), and the listener wants
/// 255. A connection whose handshake is under way at this moment inherits that, and
/// hears nothing more from its client: see [`accept_distant`].
#[cfg(target_os = "linux")]
fn drop_distant(listener: &TcpListener) -> nix::Result<()> {
    set_least_ttl(listener, 255)
}

/// What [`drop_new_connections`] did to a listener does not hold for this connection,
/// which was accepted afterwards: its client's packets arrive. They are sent again and
/// again until then.
pub fn accept_distant(connection: impl AsFd) {
    #[cfg(target_os = "linux")]
    // It fails if the connection is closed.
    let _ = set_least_ttl(connection, 0);
}

#[cfg(target_os = "linux")]
fn set_least_ttl(socket: impl AsFd, least: libc::c_int) -> nix::Result<()> {
    let ipv4 = (libc::IPPROTO_IP, libc::IP_MINTTL);
    let ipv6 = (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT);
    // SAFETY: both take a number. A listener for IPv6 may have clients of IPv4, too.
    let results =
        unsafe { [ipv4, ipv6].map(|option| set_option(&socket, option, &least)) };
    results[0].or(results[1])
}
// ANCHOR_END: drop_distant

// ANCHOR: set_option
/// setsockopt(2).
///
/// # Safety
/// `T` is what the option takes.
#[cfg(target_os = "linux")]
unsafe fn set_option<T>(
    socket: &impl AsFd,
    (level, name): (libc::c_int, libc::c_int),
    value: &T,
) -> nix::Result<()> {
    // SAFETY: the kernel reads the value; the caller promises that it is the right
    // one.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (value as *const T).cast(),
            mem::size_of_val(value) as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}
// ANCHOR_END: set_option

// ANCHOR: is_empty
/// Whether no connection waits in the backlog.
pub fn is_empty(listener: &TcpListener) -> bool {
    let mut fd =
        libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: poll(2) reads and writes this one struct. 0: it does not block.
    let ready = unsafe { libc::poll(&raw mut fd, 1, 0) };
    ready <= 0
}
// ANCHOR_END: is_empty
