//! Draining: to stop accepting, answer all that was given, and end.

use std::time::{Duration, Instant};

use cli::complain;
use serde_json::json;

use super::{Handler, MAX_CONNECTIONS, Worker};

/// How long a worker may drain, after a panic or SIGTERM.
const LIMIT: Duration = Duration::from_secs(5);

/// How long it may drain when its parent is gone: nobody watches over it any more.
const LIMIT_ALONE: Duration = Duration::from_secs(1);

/// How long it may empty the listener's queue. Clients that come faster than they are accepted must
/// not keep it from ending.
const LAST_CALL: Duration = Duration::from_millis(100);

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
    /// The listener's queue was emptied.
    emptied: bool,
}

impl<H: Handler> Worker<H> {
    /// Stops accepting. The first reason decides the exit code; to be told again changes nothing but
    /// a deadline that is nearer.
    pub(super) fn start_draining(&mut self, why: Why) {
        let limit = if why == Why::ParentIsGone { LIMIT_ALONE } else { LIMIT };
        let until = Instant::now() + limit;
        let code = if why == Why::Panicked { 1 } else { 0 };
        let first = self.drain.is_none();
        let drain = self.drain.get_or_insert(Drain { until, code, emptied: false });
        drain.until = drain.until.min(until);
        // After a panic, others take those who wait in the listener. When everybody ends, nobody
        // would: with the last copy of the listener, the kernel resets them all.
        let empties =
            why != Why::Panicked && !std::mem::replace(&mut drain.emptied, why != Why::Panicked);
        if first {
            self.say_suicide();
        }
        if empties {
            self.empty_queue();
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

    /// Takes all who wait in the listener, and closes it.
    fn empty_queue(&mut self) {
        let end = Instant::now() + LAST_CALL;
        while self.connections.len() < MAX_CONNECTIONS && Instant::now() < end {
            let Some(mut connection) = self.accept() else { break };
            connection.more = true;
            self.connections.push(connection);
        }
        self.listener = None;
    }

    /// The exit code, once nobody is connected or the time is up. To end earlier would cut off
    /// answers that are still on their way.
    pub(super) fn is_drained(&self) -> Option<u8> {
        let drain = self.drain.as_ref()?;
        let unheard = self.channel.as_ref().is_some_and(|channel| channel.wants_write());
        let done = self.connections.is_empty() && !unheard;
        (done || Instant::now() >= drain.until).then_some(drain.code)
    }
}
