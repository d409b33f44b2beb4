//! A place for one child. Who fills it changes; the name stays.

use std::{
    ffi::OsStr,
    os::fd::OwnedFd,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ch01_fork_ipc::{Child, RecvError};
use ch02_balance::{FdChannel, Incoming, Leaving};
use cli::{ACCEPT_PAUSE, complain, log, reason, why};
use serde_json::{Map, Value};

/// Connections that one child may be sent before it acknowledges them. A child with so many is passed
/// over. When both have so many, clients wait in the listener's backlog.
///
/// Each is an open descriptor in this process, and the limit may be as low as 1,024 (getrlimit(2)).
const WINDOW: usize = 256;

/// A child that ends without having acknowledged anything is replaced after this pause.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a child may leave a connection unacknowledged, before it is asked whether it has ended.
const ACK_TIMEOUT: Duration = Duration::from_secs(1);

/// Messages that are received in a row. Then it is another child's turn.
const BATCH: usize = 256;

/// Makes the command that starts the child with this name.
pub type Start<'a> = &'a dyn Fn(&OsStr) -> anyhow::Result<Command>;

// ANCHOR: place
/// A place, and the child in it.
pub struct Place<'a> {
    name: &'static str,
    start: Start<'a>,
    child: Option<(Child, FdChannel)>,
    /// Whether this child has ever acknowledged a connection.
    proven: bool,
    /// An empty place is not filled before then.
    fill_from: Instant,
    /// The child may have sent more than was received in one go. poll(2) does not see that.
    more: bool,
    /// The child has not acknowledged a connection. When to ask whether it has ended.
    ask_from: Option<Instant>,
    leaving: Leaving,
}
// ANCHOR_END: place

/// What came back from a child.
#[derive(Default)]
pub struct Returned {
    /// Connections that it has not acknowledged.
    pub connections: Vec<(Value, OwnedFd)>,
    /// It could not take a connection, three times.
    pub refused: bool,
}

impl<'a> Place<'a> {
    /// An empty place.
    pub fn new(name: &'static str, start: Start<'a>) -> Place<'a> {
        let fill_from = Instant::now();
        Place {
            name,
            start,
            child: None,
            proven: false,
            fill_from,
            more: false,
            ask_from: None,
            leaving: Leaving::default(),
        }
    }

    /// Starts a child.
    pub fn fill(&mut self) -> anyhow::Result<()> {
        let command = (self.start)(OsStr::new(self.name))?;
        let program = command.get_program().to_string_lossy().into_owned();
        let spawned = Child::spawn(command)
            .with_context(|| format!("cannot start {program}"));
        let (child, stream) = spawned?;
        log(format_args!("{} is {}", self.name, child.pid()));
        self.child = Some((child, FdChannel::with_window(stream, WINDOW)?));
        self.proven = false;
        Ok(())
    }

    /// The channel to the child, if there is one.
    pub fn channel(&self) -> Option<&FdChannel> {
        self.child.as_ref().map(|(_, channel)| channel)
    }

    /// Whether the child can be given a connection.
    pub fn has_room(&self) -> bool {
        self.channel().is_some_and(FdChannel::has_room)
    }

    /// When there is something to do here, whatever poll(2) says.
    pub fn wakes_at(&self) -> Option<Instant> {
        let fill = if self.child.is_none() { Some(self.fill_from) } else { None };
        let more = if self.more { Some(Instant::now()) } else { None };
        let stalled = self.channel().is_some_and(FdChannel::is_stalled);
        let retry =
            if stalled { Some(Instant::now() + ACCEPT_PAUSE) } else { None };
        let times = [fill, more, self.ask_from, retry, self.leaving.wakes_at()];
        times.into_iter().flatten().min()
    }

    /// Passes a connection to the child; gives it back if that cannot be.
    pub fn pass(
        &mut self,
        message: Value,
        connection: OwnedFd,
    ) -> Option<(Value, OwnedFd)> {
        let Some((_, channel)) = &mut self.child else {
            return Some((message, connection));
        };
        let passed =
            channel.pass("net.Socket", Map::new(), message.clone(), connection);
        passed.err().map(|not_passed| (message, not_passed.fd))
    }

    // ANCHOR: tend
    /// Hears the child, replaces one that is gone, and waits for those that were.
    pub fn tend(&mut self) -> Returned {
        let mut returned = Returned::default();
        if !self.hear(&mut returned) || self.ended_silently() {
            returned.connections.extend(self.vacate());
        }
        if self.child.is_none() && Instant::now() >= self.fill_from {
            if let Err(error) = self.fill() {
                complain(why(&error));
                self.fill_from = Instant::now() + PAUSE;
            }
        }
        for (pid, ended) in self.leaving.ended() {
            match ended {
                Ok(ended) => log(format_args!("{} {pid} {ended}", self.name)),
                Err(error) => complain(format_args!(
                    "cannot wait for {pid}: {}",
                    reason(&error)
                )),
            }
        }
        returned
    }
    // ANCHOR_END: tend

    // ANCHOR: hear
    /// Receives what the child has sent. `false` once it will send nothing more.
    fn hear(&mut self, returned: &mut Returned) -> bool {
        let Some((_, channel)) = &mut self.child else { return true };
        self.more = false;
        for _ in 0..BATCH {
            match channel.recv() {
                Ok(Some(Incoming::Acked)) => self.proven = true,
                Ok(Some(Incoming::Refused(message, connection))) => {
                    returned.connections.push((message, connection));
                    returned.refused = true;
                }
                Ok(Some(Incoming::Message(message))) => {
                    log(format_args!("{} says {message}", self.name));
                }
                // A child has nothing to pass to us. What it passed is closed here.
                Ok(Some(
                    Incoming::Passed(_) | Incoming::Missing | Incoming::Internal,
                )) => {}
                Ok(None) => return false,
                Err(error) if error.would_block() => return true,
                Err(error) => {
                    complain(format_args!("{}: {error}", self.name));
                    if !matches!(error, RecvError::Json(_)) {
                        return false;
                    }
                }
            }
        }
        self.more = true;
        true
    }
    // ANCHOR_END: hear

    /// Whether the child has ended although its channel is open: somebody else holds that too. It is
    /// asked when there is a reason, and not for each connection.
    fn ended_silently(&mut self) -> bool {
        let Some((child, channel)) = &mut self.child else { return false };
        if !channel.awaits_answer() {
            self.ask_from = None;
            return false;
        }
        let now = Instant::now();
        if now < *self.ask_from.get_or_insert(now + ACK_TIMEOUT) {
            return false;
        }
        self.ask_from = None;
        matches!(child.try_wait(), Ok(Some(_)))
    }

    // ANCHOR: vacate
    /// The child has left its channel: takes back what it has not acknowledged.
    fn vacate(&mut self) -> Vec<(Value, OwnedFd)> {
        let Some((child, channel)) = self.child.take() else { return Vec::new() };
        (self.more, self.ask_from) = (false, None);
        let now = Instant::now();
        self.leaving.add(child);
        self.fill_from = if self.proven { now } else { now + PAUSE };
        channel.into_unacknowledged()
    }
    // ANCHOR_END: vacate
}
