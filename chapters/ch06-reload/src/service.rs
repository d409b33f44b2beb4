// ANCHOR: top
//! What a service manager such as systemd is told (sd_notify(3)): a datagram to the
//! socket that `NOTIFY_SOCKET` names. Without that variable, nothing is sent.

#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
use std::{
    env,
    ffi::OsStr,
    io,
    os::unix::{
        ffi::OsStrExt as _,
        net::{SocketAddr, UnixDatagram},
    },
    time::{Duration, Instant},
};

use cli::{complain, reason};
use nix::unistd::Pid;
use sd_notify::NotifyState;
// ANCHOR_END: top

// ANCHOR: service
/// The service manager that has started this process, if there is one.
pub struct Service {
    /// When it must be told the next time that this process runs. `None`: it does not
    /// ask.
    watchdog_at: Option<Instant>,
}

impl Service {
    /// Reads from the environment what the service manager wants to be told.
    pub fn new(now: Instant) -> Service {
        Service { watchdog_at: sd_notify::watchdog_enabled().map(|_| now) }
    }

    /// The server is ready, or a reload has ended. `systemctl status` shows `how`.
    pub fn ready(&self, how: &str) {
        notify(&[NotifyState::Ready, NotifyState::Status(how)]);
    }

    /// A reload begins.
    pub fn reloading(&self) {
        // Type=notify-reload: systemd compares the time with that of its own signal.
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            notify(&[NotifyState::Reloading, now]);
        }
    }

    /// The server stops.
    pub fn stopping(&self) {
        notify(&[NotifyState::Stopping]);
    }

    /// Another process is the master from now on.
    pub fn new_master(&self, pid: Pid) {
        notify(&[NotifyState::MainPid(pid.as_raw() as u32)]);
    }
}
// ANCHOR_END: service

// ANCHOR: watchdog
/// A limit that is wrong must not keep the master busy.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

impl Service {
    /// Reports that the master's loop runs: twice in the time that the service
    /// manager waits for it (`WATCHDOG_USEC`).
    pub fn watchdog(&mut self, now: Instant) {
        if self.watchdog_at.is_some_and(|at| at <= now) {
            notify(&[NotifyState::Watchdog]);
            let limit = sd_notify::watchdog_enabled();
            let pause = |limit: Duration| (limit / 2).max(SHORTEST_PAUSE);
            self.watchdog_at = limit.map(|limit| now + pause(limit));
        }
    }

    /// When [`watchdog`](Service::watchdog) must be called the next time.
    pub fn deadline(&self) -> Option<Instant> {
        self.watchdog_at
    }
}
// ANCHOR_END: watchdog

// ANCHOR: notify
fn notify(states: &[NotifyState]) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(name.as_bytes(), states) {
        complain(format_args!("cannot notify: {}", reason(&error)));
    }
}

/// As `sd_notify::notify`, which does not know the names that begin with `@`, and
/// blocks while the service manager does not read.
fn send(name: &[u8], states: &[NotifyState]) -> io::Result<()> {
    let address = match name {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path => SocketAddr::from_pathname(OsStr::from_bytes(path)),
    };
    let lines: String = states.iter().map(|state| format!("{state}\n")).collect();
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(lines.as_bytes(), &address?)?;
    Ok(())
}
// ANCHOR_END: notify
