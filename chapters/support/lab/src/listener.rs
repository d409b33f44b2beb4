//! Where a listener can be reached.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::event::Object;

/// The address of a listener: of one that takes any address, on this machine; of one whose
/// port was chosen by the kernel and that was never asked for it, as /proc says.
pub fn address_of(listener: &Object) -> Option<SocketAddr> {
    let known = listener.label.parse().ok();
    let known = known.filter(|it: &SocketAddr| it.port() != 0);
    let mut address = known.or_else(|| bound_to(listener.inode?))?;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Some(address)
}

/// The address of a TCP socket with this inode number (proc_pid_net(5)).
fn bound_to(inode: u64) -> Option<SocketAddr> {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|file| {
        let table = fs::read_to_string(file).ok()?;
        table.lines().skip(1).find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let is_it = words.get(9)?.parse() == Ok(inode);
            is_it.then(|| in_words(words[1]))?
        })
    })
}

/// `0100007F:1F90` is 127.0.0.1:8080: each word of an address is printed as the machine
/// reads it.
fn in_words(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok();
    let bytes =
        (0..address.len()).step_by(8).map(|at| word(at).map(u32::to_ne_bytes));
    let bytes: Vec<u8> = bytes.collect::<Option<Vec<_>>>()?.concat();
    let ip = match <[u8; 4]>::try_from(&*bytes) {
        Ok(bytes) => IpAddr::from(bytes),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    };

    use super::*;
    use crate::event::Kind;

    fn listener(label: &str, inode: Option<u64>) -> Object {
        let label = label.to_owned();
        Object { id: 0, kind: Kind::Listener, label, peer: None, inode }
    }

    #[test]
    fn a_label_with_a_port_is_the_address() {
        let address = |label| address_of(&listener(label, None));
        assert_eq!(address("127.0.0.1:80"), "127.0.0.1:80".parse().ok());
        assert_eq!(address("0.0.0.0:80"), "127.0.0.1:80".parse().ok());
        assert_eq!(address("[::]:80"), "[::1]:80".parse().ok());
        assert_eq!(address("127.0.0.1:0"), None);
        assert_eq!(address("/run/socket"), None);
    }

    #[test]
    fn without_a_port_the_kernel_knows_it() {
        for host in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let Ok(bound) = TcpListener::bind(host) else { continue };
            let fd = bound.as_raw_fd();
            let file =
                fs::metadata(format!("/proc/self/fd/{fd}")).expect("it is open");
            let found = address_of(&listener(host, Some(file.ino())));
            let port = bound.local_addr().expect("an address").port();
            assert_eq!(found.map(|it| it.port()), Some(port), "{host}");
            assert!(found.is_some_and(|it| it.ip().is_loopback()), "{found:?}");
        }
    }
}
