//! Given, here and in the capstone: what a worker waits for, what it accepts, and
//! the program that answers the requests.

#![allow(dead_code, unused_imports)] // The stub uses none of it yet.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::process;
use std::time::Instant;

use ch02_balance::poll_tokens;
use ch03_handles::HandleChannel;
use ch04_events::SignalPipe;
use cli::complain;
use nix::poll::{PollFd, PollFlags};

pub use crate::http::{Connection, Step};

/// Blocks until one of these has something to do, or until `until`. It does not
/// tell which one: nothing else here blocks, so try all of them.
///
/// # Errors
/// Those of poll(2); none is expected.
pub fn wait(
    channel: Option<&HandleChannel>,
    signals: &SignalPipe,
    listener: Option<&TcpListener>,
    connections: &[Connection],
    until: Option<Instant>,
) -> io::Result<()> {
    let mut polled = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    polled.extend(channel.map(|it| PollFd::new(it.as_fd(), it.interest())));
    polled.extend(listener.map(|it| PollFd::new(it.as_fd(), PollFlags::POLLIN)));
    polled.extend(
        connections.iter().map(|it| PollFd::new(it.as_fd(), it.interest())),
    );
    let polled = polled.into_iter().map(|fd| ((), fd)).collect();
    poll_tokens(polled, until).map(drop)
}

/// Accepts a connection, if a client has connected. Does not block.
pub fn accept(listener: &TcpListener) -> Option<Connection> {
    // poll(2) wakes every worker for a connection, and one of them gets it. The
    // others must not block here.
    listener.set_nonblocking(true).ok()?;
    let (stream, _) = listener.accept().ok()?;
    Connection::new(stream).ok()
}

/// The program that a worker runs: it answers, and after its Kth response it fails.
pub struct Greeter {
    responses: u64,
    crash_after: u64,
}

impl Greeter {
    /// 0: it never fails.
    pub fn new(crash_after: u64) -> Greeter {
        panic::set_hook(Box::new(report_panic));
        Greeter { responses: 0, crash_after }
    }

    /// The text that answers a request.
    pub fn handle(&self) -> String {
        format!("handled by child, pid is {}\n", process::id())
    }

    /// Called when the kernel has the last byte of a response. Returns whether the
    /// program has failed.
    pub fn answered(&mut self) -> bool {
        // Around the program and around nothing else: after a panic, the worker's
        // own data are as they were.
        catch_unwind(AssertUnwindSafe(|| self.count())).is_err()
    }

    fn count(&mut self) {
        self.responses += 1;
        if self.responses == self.crash_after {
            panic!("on purpose, after response {} (--crash-after)", self.responses);
        }
    }
}

/// Prints one line for a panic: a backtrace takes longer than a new worker.
fn report_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or(payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no message");
    let place = panic.location().map(|it| format!(" at {it}")).unwrap_or_default();
    complain(format_args!("worker {} panicked{place}:\n{text}", process::id()));
}
