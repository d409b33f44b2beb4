//! The parent: accepts, never reads, and gives each connection to the child whose turn it is.

use std::{
    collections::VecDeque,
    io::ErrorKind,
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
    process::ExitCode,
    time::Instant,
};

use anyhow::Context as _;
use ch02_balance::{RoundRobin, poll_until};
use cli::{ACCEPT_PAUSE, complain, reason};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
};
use serde_json::Value;

use crate::place::{Place, Start};

/// Connections that are accepted in a row. Then the children are heard: one whose acknowledgements
/// nobody reads looks busy, and would be passed over.
const IN_A_ROW: usize = 32;

/// The parent of chapter 2.
pub struct Balancer<'a> {
    listener: TcpListener,
    places: [Place<'a>; 2],
    turn: RoundRobin,
    /// Connections that came back: a child had not acknowledged them. They go to another.
    returned: VecDeque<(Value, OwnedFd)>,
    /// Descriptors have run out, here or in a child: nothing is accepted or sent before then.
    pause_until: Option<Instant>,
}

impl Balancer<'_> {
    /// Starts the children `names`.
    pub fn start<'a>(
        listener: TcpListener,
        names: [&'static str; 2],
        start: Start<'a>,
    ) -> anyhow::Result<Balancer<'a>> {
        listener.set_nonblocking(true)?;
        let mut places = names.map(|name| Place::new(name, start));
        for place in &mut places {
            place.fill()?;
        }
        let (turn, returned) = (RoundRobin::default(), VecDeque::new());
        Ok(Balancer { listener, places, turn, returned, pause_until: None })
    }

    /// Hands out connections until a signal ends this process.
    pub fn run(mut self) -> anyhow::Result<ExitCode> {
        loop {
            let connections = self.wait().context("cannot wait for connections")?;
            for place in &mut self.places {
                let back = place.tend();
                if back.refused {
                    self.pause_until = Some(Instant::now() + ACCEPT_PAUSE);
                }
                self.returned.extend(back.connections);
            }
            self.pause_until.take_if(|until| *until <= Instant::now());
            if self.pause_until.is_none() {
                self.place_returned();
                if connections {
                    self.accept();
                }
            }
        }
    }

    /// Waits until there is something to do; true if it is a connection to accept.
    fn wait(&self) -> Result<bool, Errno> {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::POLLIN, self.pause_until.is_none() && self.has_room());
        let mut polled = Vec::with_capacity(3);
        polled.push(PollFd::new(self.listener.as_fd(), wanted));
        for channel in self.places.iter().filter_map(Place::channel) {
            polled.push(PollFd::new(channel.as_fd(), channel.interest()));
        }
        let first = self.places.iter().filter_map(Place::wakes_at).chain(self.pause_until).min();
        match poll(&mut polled, poll_until(first)) {
            Ok(_) => Ok(polled[0].any() == Some(true)),
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Accepts those who wait, as long as a child has room. Nobody reads a byte of them here.
    fn accept(&mut self) {
        for _ in 0..IN_A_ROW {
            if !self.has_room() {
                return;
            }
            match self.listener.accept() {
                Ok((connection, _)) => self.give(Value::from("socket"), connection.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // This client is gone again (accept(2)). The next one may be there.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    complain(format_args!("cannot accept a connection: {}", reason(&error)));
                    self.pause_until = Some(Instant::now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    fn place_returned(&mut self) {
        while self.places.iter().any(Place::has_room) {
            let Some((message, connection)) = self.returned.pop_front() else { return };
            self.give(message, connection);
        }
    }

    /// Gives a connection to the child whose turn it is.
    fn give(&mut self, message: Value, connection: OwnedFd) {
        let turn = self.turn.pick(self.places.len(), |index| self.places[index].has_room());
        match turn {
            Some(index) => self.returned.extend(self.places[index].pass(message, connection)),
            None => self.returned.push_back((message, connection)),
        }
    }

    /// Whether a new connection could go to a child at once. Those that came back go first.
    fn has_room(&self) -> bool {
        self.returned.is_empty() && self.places.iter().any(Place::has_room)
    }
}
