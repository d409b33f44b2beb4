//! Node's way to pass a handle: an envelope, a descriptor beside it, and an answer.
//!
//! ```text
//! sender   {"cmd":"NODE_HANDLE","type":"net.Socket","msg":"socket"}  + SCM_RIGHTS   receiver
//!          <-  {"cmd":"NODE_HANDLE_ACK"}     it is yours now: I close my copy
//!          <-  {"cmd":"NODE_HANDLE_NACK"}    it came without its descriptor: again, please
//! ```

mod incoming;
mod open_sockets;
mod protocol;
mod receive;
mod under_way;

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
};

use ch01_fork_ipc::{Channel, Line, MAX_MESSAGE, SendError};
use nix::poll::PollFlags;
use serde_json::{Map, Value, json};

use crate::FdStream;
pub use incoming::{Incoming, NotPassed, Passed};
pub use open_sockets::OpenSocket;
use open_sockets::OpenSockets;
use under_way::{Arrived, Sending, into_message_and_fd};

/// What may wait here to be sent, besides the bytes of it (16 MiB).
const MAX_QUEUE: usize = 4096;

// ANCHOR: fd_channel
/// A channel for messages and descriptors that speaks what Node's `child_process` speaks. It never
/// blocks.
///
/// A descriptor that is sent stays open here until the other side has acknowledged it. What a dead
/// child never acknowledged can so be sent to another: [`into_unacknowledged`].
///
/// [`into_unacknowledged`]: FdChannel::into_unacknowledged
#[derive(Debug)]
pub struct FdChannel {
    channel: Channel<FdStream>,
    /// How many handles may be under way at once.
    window: usize,
    /// Not written yet.
    queue: VecDeque<(Line, Option<Sending>)>,
    queued_bytes: usize,
    /// Written and not acknowledged; answers come in this order.
    under_way: VecDeque<(Line, Sending)>,
    inbox: VecDeque<Arrived>,
    /// Answers of ours that have not left: what [`Channel::flushed`] is once they have.
    replies: VecDeque<u64>,
    /// See [`FdChannel::is_stalled`].
    stalled: bool,
    open: OpenSockets,
}
// ANCHOR_END: fd_channel

impl FdChannel {
    /// Over `socket`, as Node does it: one handle under way at a time, and what is sent after it
    /// waits for its answer.
    ///
    /// # Errors
    /// Those of fcntl(2): the socket is made non-blocking.
    pub fn new(socket: UnixStream) -> io::Result<FdChannel> {
        FdChannel::with_window(socket, 1)
    }

    /// With up to `window` handles under way at once: nobody waits for the answer to the last
    /// before the next leaves.
    ///
    /// With more than 1, keep messages short. A Node child reads 64 KiB at a time and remembers one
    /// descriptor; it would confuse two that come while one long message is arriving.
    ///
    /// # Errors
    /// As [`new`](FdChannel::new).
    pub fn with_window(socket: UnixStream, window: usize) -> io::Result<FdChannel> {
        Ok(FdChannel {
            channel: Channel::new(FdStream::new(socket)?),
            window,
            queue: VecDeque::new(),
            queued_bytes: 0,
            under_way: VecDeque::new(),
            inbox: VecDeque::new(),
            replies: VecDeque::new(),
            stalled: false,
            open: OpenSockets::default(),
        })
    }

    /// Sends a message, behind all that was sent before it.
    ///
    /// # Errors
    /// [`SendError::TooLong`] and [`SendError::Full`]: nothing was queued. [`SendError::Io`]: the
    /// other side is gone; there may be something left to [`recv`](FdChannel::recv).
    pub fn send(&mut self, message: &Value) -> Result<(), SendError> {
        let line = Line::new(message)?;
        self.check_room()?;
        self.enqueue(line, None);
        self.pump().map_err(SendError::Io)
    }

    // ANCHOR: pass
    /// Sends a message with a descriptor, like Node's `send(message, handle)`. `kind` and `fields`
    /// say on the envelope what it is.
    ///
    /// # Errors
    /// [`NotPassed`] gives the descriptor back, if it was not queued. Once it is, a broken channel
    /// shows when you [`recv`](FdChannel::recv) or [`pump`](FdChannel::pump).
    pub fn pass(
        &mut self,
        kind: &str,
        fields: Map<String, Value>,
        message: Value,
        fd: OwnedFd,
    ) -> Result<(), NotPassed> {
        let mut envelope =
            json!({"cmd": "NODE_HANDLE", "type": kind, "msg": message});
        envelope
            .as_object_mut()
            .expect("an object: json! has made it")
            .extend(fields);
        let line = Line::new(&envelope);
        match line.and_then(|line| self.check_room().map(|()| line)) {
            Ok(line) => self.enqueue(
                line,
                Some(Sending { fd: Arc::new(fd), tries: 0, end: 0 }),
            ),
            Err(why) => return Err(NotPassed { why, fd }),
        }
        // A dead peer shows at the next recv, which still has its last words to read.
        let _ = self.pump();
        Ok(())
    }
    // ANCHOR_END: pass

    /// Whether another handle would leave at once.
    pub fn has_room(&self) -> bool {
        self.queue.is_empty()
            && self.under_way.len() < self.window
            && self.channel.unsent() == 0
    }

    /// Whether something waits for the kernel to take it.
    pub fn wants_write(&self) -> bool {
        self.channel.unsent() > 0
    }

    /// Whether sending has failed although the other side is there, and there is room: call
    /// [`recv`](FdChannel::recv) again after a while. poll(2) cannot tell when.
    ///
    /// With too many descriptors under way for one user, sendmsg(2) says `ETOOMANYREFS` (unix(7)).
    pub fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// What to wait for in poll(2). Then [`recv`](FdChannel::recv) until it says `WouldBlock`: it
    /// also writes what may leave.
    pub fn interest(&self) -> PollFlags {
        let mut events = PollFlags::empty();
        events.set(PollFlags::POLLIN, self.reads());
        events.set(PollFlags::POLLOUT, self.wants_write() && !self.stalled);
        events
    }

    /// Whether a handle was sent that is not acknowledged.
    pub fn awaits_answer(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// All bytes that were received as messages.
    pub fn received(&self) -> u64 {
        self.channel.last_line().end
    }

    // ANCHOR: pump
    /// Writes what may leave now. [`recv`](FdChannel::recv) does it too.
    ///
    /// # Errors
    /// Those of sendmsg(2): the other side is gone.
    pub fn pump(&mut self) -> io::Result<()> {
        for answer in self.open.closed() {
            self.reply(&answer);
        }
        // A descriptor goes with the next byte that is written: so nothing may be before it.
        while self.flush()? && self.under_way.len() < self.window {
            let Some((line, sending)) = self.queue.pop_front() else { break };
            self.queued_bytes -= line.len();
            self.channel.enqueue(&line);
            if let Some(mut sending) = sending {
                self.channel.stream_mut().attach(sending.fd.clone());
                sending.end = self.channel.queued();
                self.under_way.push_back((line, sending));
            }
        }
        Ok(())
    }
    // ANCHOR_END: pump

    // ANCHOR: into_unacknowledged
    /// Ends the channel, and gives back what the other side has never acknowledged, each with its
    /// message: the oldest first.
    pub fn into_unacknowledged(self) -> Vec<(Value, OwnedFd)> {
        let FdChannel { channel, under_way, queue, .. } = self;
        drop(channel);
        let queued =
            queue.into_iter().filter_map(|(line, sending)| Some((line, sending?)));
        under_way.into_iter().chain(queued).map(into_message_and_fd).collect()
    }
    // ANCHOR_END: into_unacknowledged

    fn flush(&mut self) -> io::Result<bool> {
        let flushed = self.channel.flush();
        self.stalled = flushed.as_ref().is_err_and(|error| !is_gone(error));
        flushed
    }

    fn check_room(&self) -> Result<(), SendError> {
        let bytes = self.queued_bytes + self.channel.unsent();
        let full = bytes > MAX_MESSAGE || self.queue.len() >= MAX_QUEUE;
        if full { Err(SendError::Full) } else { Ok(()) }
    }

    fn enqueue(&mut self, line: Line, sending: Option<Sending>) {
        self.queued_bytes += line.len();
        self.queue.push_back((line, sending));
    }
}

impl AsFd for FdChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.stream().as_fd()
    }
}

/// The other side will read nothing more.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}
