//! Draining: to stop accepting, answer all that was given, and end.

use std::time::{Duration, Instant};

use ch03_handles::Handle;
use cli::complain;
use serde_json::json;

use super::{Connection, Handler, MAX_CONNECTIONS, Worker};

/// How long a worker may drain, after a panic or SIGTERM.
const LIMIT: Duration = Duration::from_secs(5);

/// How long it may drain when its parent is gone: nobody watches over it any more.
const LIMIT_ALONE: Duration = Duration::from_secs(1);

/// How long it may empty the listener's backlog. Clients that come faster than they are accepted must
/// not keep it from ending.
const ACCEPT_LIMIT: Duration = Duration::from_millis(100);

/// Why a worker drains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The program has failed; it may fail again. Others accept from now on.
    Panicked,
    /// SIGTERM. It may be that all workers end.
    Terminated,
    /// All workers end.
    ParentIsGone,
}

/// A worker that drains.
#[derive(Debug)]
pub(super) struct Drain {
    /// It ends then, whoever is still connected.
    pub until: Instant,
    code: u8,
    /// Until when it empties the backlog, if it does.
    accept_until: Option<Instant>,
    /// The parent has said that others take those who wait in the backlog.
    may_end: bool,
}

impl<H: Handler> Worker<H> {
    // ANCHOR: start_draining
    /// Stops accepting. The first reason decides the exit code; to be told again changes nothing but
    /// a deadline that is nearer.
    pub(super) fn start_draining(&mut self, why: Why) {
        let now = Instant::now();
        let until =
            now + if why == Why::ParentIsGone { LIMIT_ALONE } else { LIMIT };
        let first = self.drain.is_none();
        let code = if why == Why::Panicked { 1 } else { 0 };
        let drain = self.drain.get_or_insert(Drain {
            until,
            code,
            accept_until: None,
            may_end: false,
        });
        drain.until = drain.until.min(until);
        // After a panic, others take those who wait in the backlog. When all workers end, nobody
        // would: with the last copy of the listener, the kernel resets them all.
        if why != Why::Panicked || self.all_end {
            drain.accept_until.get_or_insert(now + ACCEPT_LIMIT);
        }
        if first {
            self.say_suicide();
        }
    }
    // ANCHOR_END: start_draining

    /// The parent has heard of the suicide: others will take those who wait in the backlog.
    pub(super) fn may_end(&mut self) {
        if let Some(drain) = &mut self.drain {
            drain.may_end = true;
        }
    }

    /// The parent says that all workers end, this one too. It keeps what it has, and takes those who
    /// wait in the backlog, also if it drains already.
    pub(super) fn all_end(&mut self) {
        self.parent_adopts = false;
        self.all_end = true;
        if let Some(drain) = &mut self.drain {
            drain.accept_until.get_or_insert(Instant::now() + ACCEPT_LIMIT);
        }
    }

    /// Tells the parent, so that it starts a replacement while this worker is still at work.
    fn say_suicide(&mut self) {
        if let Some(channel) = &mut self.channel {
            if let Err(error) = channel.send(&json!({"act": "suicide"})) {
                complain(error);
            }
        }
    }

    // ANCHOR: go_on_draining
    /// What there is to do in each turn of the loop, while this worker drains.
    pub(super) fn go_on_draining(&mut self) {
        let Some(drain) = &self.drain else { return };
        if let Some(end) = drain.accept_until {
            self.empty_backlog(end);
        }
        if self.parent_adopts {
            self.give_back_idle();
        }
    }
    // ANCHOR_END: go_on_draining

    // ANCHOR: empty_backlog
    /// Takes all who wait in the backlog, and closes the listener.
    fn empty_backlog(&mut self, end: Instant) {
        while self.connections.len() < MAX_CONNECTIONS && Instant::now() < end {
            match self.accept() {
                Some(mut connection) => {
                    connection.more = true;
                    self.connections.push(connection);
                }
                // No descriptor is free. Those whom we answer give theirs back.
                None if self.accept_from.is_some() => return,
                None => break,
            }
        }
        if self.connections.len() < MAX_CONNECTIONS {
            self.listener = None;
        }
    }
    // ANCHOR_END: empty_backlog

    // ANCHOR: give_back_idle
    /// Gives the connections on which nothing is asked back to the parent: another worker gets them,
    /// and their clients do not notice. Otherwise they would have to be cut off in the end, perhaps
    /// just when a request is on its way.
    fn give_back_idle(&mut self) {
        let Some(channel) = &mut self.channel else { return };
        for index in (0..self.connections.len()).rev() {
            if !self.connections[index].is_idle() {
                continue;
            }
            let stream = self.connections.swap_remove(index).into_stream();
            let sent =
                channel.send_handle(json!({"act": "adopt"}), Handle::Tcp(stream));
            if let Err(not_passed) = sent {
                self.connections.extend(Connection::new(not_passed.fd.into()));
                return;
            }
        }
    }
    // ANCHOR_END: give_back_idle

    // ANCHOR: is_drained
    /// The exit code, once nobody is connected or the time is up. To end earlier would cut off
    /// answers that are still on their way.
    pub(super) fn is_drained(&self) -> Option<u8> {
        let drain = self.drain.as_ref()?;
        let under_way = |it: &ch03_handles::HandleChannel| {
            it.wants_write() || it.awaits_answer()
        };
        let unheard = self.channel.as_ref().is_some_and(under_way);
        let calls = drain.accept_until.is_some() && self.listener.is_some();
        // A parent that answers to a suicide may say that there will be no replacement.
        let asks = self.parent_adopts && self.channel.is_some() && !drain.may_end;
        let done = self.connections.is_empty() && !unheard && !calls && !asks;
        (done || Instant::now() >= drain.until).then_some(drain.code)
    }
    // ANCHOR_END: is_drained
}
