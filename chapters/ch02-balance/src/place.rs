//! A place for one child. Who fills it changes; the name stays.

use std::{
    ffi::OsStr,
    os::fd::OwnedFd,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ch01_fork_ipc::{Child, RecvError};
use ch02_balance::{FdChannel, Incoming};
use cli::{complain, say, why};
use nix::sys::signal::Signal;
use serde_json::{Map, Value};

/// Connections that may be under way to one child. When it has so many that it has not
/// acknowledged, it gets no more. When both have, clients wait in the listener.
const WINDOW: usize = 64;

/// A child that ends without having acknowledged anything is replaced after this pause.
const PAUSE: Duration = Duration::from_secs(1);

/// A child that has left its channel may finish what it has, for this long.
const GRACE: Duration = Duration::from_secs(5);

/// How often a child that has left its channel is asked whether it has ended. poll(2) does not see
/// that; chapter 4 does better.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Makes the command that starts the child with this name.
pub type Start<'a> = &'a dyn Fn(&OsStr) -> anyhow::Result<Command>;

/// A place, and the child in it.
pub struct Place<'a> {
    name: &'static str,
    start: Start<'a>,
    child: Option<(Child, FdChannel)>,
    /// Whether this child has ever acknowledged a connection.
    proven: bool,
    /// An empty place is not filled before then.
    fill_from: Instant,
    /// Children that have left their channels and have not ended, and when each is killed.
    leaving: Vec<(Child, Instant)>,
}

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
        Place { name, start, child: None, proven: false, fill_from, leaving: Vec::new() }
    }

    /// Starts a child.
    pub fn fill(&mut self) -> anyhow::Result<()> {
        let command = (self.start)(OsStr::new(self.name))?;
        let program = command.get_program().to_string_lossy().into_owned();
        let spawned = Child::spawn(command).with_context(|| format!("cannot start {program}"));
        let (child, stream) = spawned?;
        say(format_args!("{} is {}", self.name, child.pid()));
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
        let leaving = self.leaving.first().map(|_| Instant::now() + ASK_AGAIN);
        fill.into_iter().chain(leaving).min()
    }

    /// Passes a connection to the child; gives it back if that cannot be.
    pub fn pass(&mut self, message: Value, connection: OwnedFd) -> Option<(Value, OwnedFd)> {
        let Some((_, channel)) = &mut self.child else { return Some((message, connection)) };
        let passed = channel.pass("net.Socket", Map::new(), message.clone(), connection);
        passed.err().map(|not_passed| (message, not_passed.fd))
    }

    /// Hears the child, replaces one that is gone, and waits for those that were.
    pub fn tend(&mut self) -> Returned {
        let mut returned = Returned::default();
        if let Err(end) = self.hear(&mut returned) {
            if let Some(why) = end {
                complain(format_args!("{}: {why}", self.name));
            }
            returned.connections.extend(self.vacate());
        }
        if self.child.is_none() && Instant::now() >= self.fill_from {
            if let Err(error) = self.fill() {
                complain(why(&error));
                self.fill_from = Instant::now() + PAUSE;
            }
        }
        self.bury();
        returned
    }

    /// Reads all that the child has sent. `Err` at the end of the channel, and why, if it was not
    /// simply closed.
    fn hear(&mut self, returned: &mut Returned) -> Result<(), Option<RecvError>> {
        let Some((_, channel)) = &mut self.child else { return Ok(()) };
        // If the child is gone, recv says so as well, after its last words.
        let _ = channel.pump();
        loop {
            match channel.recv() {
                Ok(Some(Incoming::Acked)) => self.proven = true,
                Ok(Some(Incoming::Refused(message, connection))) => {
                    returned.connections.push((message, connection));
                    returned.refused = true;
                }
                Ok(Some(Incoming::Message(message))) => {
                    say(format_args!("{} says {message}", self.name));
                }
                // A child has nothing to pass to us. What it passed is closed here.
                Ok(Some(Incoming::Passed(_) | Incoming::Missing)) => {}
                Ok(None) => return Err(None),
                Err(error) if error.would_block() => return Ok(()),
                Err(error @ RecvError::Json(_)) => {
                    complain(format_args!("{}: {error}", self.name));
                }
                Err(error) => return Err(Some(error)),
            }
        }
    }

    /// The child has left its channel: takes back what it has not acknowledged.
    fn vacate(&mut self) -> Vec<(Value, OwnedFd)> {
        let Some((child, channel)) = self.child.take() else { return Vec::new() };
        let now = Instant::now();
        self.leaving.push((child, now + GRACE));
        self.fill_from = if self.proven { now } else { now + PAUSE };
        channel.into_unacknowledged()
    }

    /// Waits for the children that have ended, so that none stays a zombie, and kills those that
    /// do not end.
    fn bury(&mut self) {
        let (name, now) = (self.name, Instant::now());
        self.leaving.retain_mut(|(child, kill_at)| {
            if now >= *kill_at {
                let _ = child.kill(Signal::SIGKILL);
            }
            match child.try_wait() {
                Ok(None) => true,
                Ok(Some(ended)) => {
                    say(format_args!("{name} {} {ended}", child.pid()));
                    false
                }
                Err(error) => {
                    complain(format_args!("cannot wait for {name} {}: {error}", child.pid()));
                    false
                }
            }
        });
    }
}
