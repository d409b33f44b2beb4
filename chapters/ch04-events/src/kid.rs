//! One child, and all through which it is heard.

use std::{
    fs::File,
    io::{self, Read},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::Command,
};

use ch01_fork_ipc::{Child, Ended, RecvError};
use ch03_handles::{Delivery, HandleChannel};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::signal::Signal,
};

use crate::{ChildError, Event, Id, Outcome, event::errno};

// ANCHOR: batch
/// Messages that are taken from one child in a row. One that sends without pause must not keep the
/// others waiting.
const BATCH: usize = 256;

/// The same, in bytes.
const BATCH_BYTES: u64 = 1 << 20;

/// More than the kernel holds for a channel, however short the messages.
const MOST_BATCHES: usize = 1024;
// ANCHOR_END: batch

// ANCHOR: kid
/// A child, from its start until nothing more can come from it.
#[derive(Debug)]
pub(crate) struct Kid {
    id: Id,
    /// `None`: it could not be started.
    pub child: Option<Child>,
    pub channel: Option<HandleChannel>,
    /// The ends of its standard output and standard error that are still open.
    pub output: Vec<File>,
    outcome: Option<Outcome>,
    pub closed: bool,
    /// It may have sent more than was taken. poll(2) does not see what is in the channel already.
    pub more: bool,
}
// ANCHOR_END: kid

impl Kid {
    /// Starts it, or tells why that cannot be.
    pub fn start(id: Id, command: Command, events: &mut Vec<Event>) -> Kid {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut kid = Kid {
            id,
            child: None,
            channel: None,
            output: Vec::new(),
            outcome: None,
            closed: false,
            more: false,
        };
        match kid.spawn(command) {
            Ok(()) => events.push(Event::Spawn(id)),
            Err(error) => {
                kid.outcome = Some(Err(errno(&error)));
                kid.closed = true;
                events.push(Event::Error(id, ChildError::Start(program, error)));
                events.push(Event::Disconnect(id));
                events.extend(kid.outcome.map(|outcome| Event::Close(id, outcome)));
            }
        }
        kid
    }

    fn spawn(&mut self, command: Command) -> io::Result<()> {
        let (mut child, stream) = Child::spawn(command)?;
        let ends = [
            child.stdout.take().map(OwnedFd::from),
            child.stderr.take().map(OwnedFd::from),
        ];
        match transports(stream, ends.into_iter().flatten().collect()) {
            Ok((channel, output)) => {
                (self.child, self.channel, self.output) =
                    (Some(child), Some(channel), output);
                Ok(())
            }
            Err(error) => {
                child.kill(Signal::SIGKILL)?;
                child.wait()?;
                Err(error)
            }
        }
    }

    // ANCHOR: hear
    /// Takes what the child has sent.
    pub fn hear(&mut self, events: &mut Vec<Event>) {
        let id = self.id;
        self.more = false;
        let before = self.channel.as_ref().map_or(0, HandleChannel::received);
        for _ in 0..BATCH {
            let Some(channel) = &mut self.channel else { return };
            if channel.received() - before > BATCH_BYTES {
                break;
            }
            let event = match channel.recv() {
                Ok(Some(Delivery::Message(received))) => {
                    Event::Message(id, received)
                }
                Ok(Some(Delivery::Acked)) => Event::Acked(id),
                Ok(Some(Delivery::Refused(message, fd))) => {
                    events.push(Event::Error(id, ChildError::Refused));
                    Event::Unacknowledged(id, message, fd)
                }
                Ok(Some(Delivery::Internal)) => continue,
                Ok(Some(Delivery::Wrong(_, wrong))) => {
                    Event::Error(id, ChildError::Wrong(wrong))
                }
                Ok(Some(Delivery::Missing)) => {
                    Event::Error(id, ChildError::Missing)
                }
                Err(error) if error.would_block() => return,
                Err(error @ RecvError::Json(_)) => {
                    Event::Error(id, ChildError::Receive(error))
                }
                Ok(None) => {
                    self.disconnect(events);
                    return;
                }
                // No further message can be made of this stream.
                Err(error) => {
                    events.push(Event::Error(id, ChildError::Receive(error)));
                    self.disconnect(events);
                    return;
                }
            };
            events.push(event);
        }
        self.more = true;
    }
    // ANCHOR_END: hear

    /// Takes what the child has printed.
    pub fn read_output(&mut self, events: &mut Vec<Event>) {
        let mut bytes = vec![0; 64 << 10];
        self.output.retain_mut(|end| match end.read(&mut bytes) {
            Ok(0) => false,
            Ok(read) => {
                events.push(Event::Output(self.id, bytes[..read].to_vec()));
                true
            }
            Err(error) => matches!(errno(&error), Errno::EAGAIN | Errno::EINTR),
        });
    }

    // ANCHOR: reap
    /// Sees whether it has ended.
    pub fn reap(&mut self, events: &mut Vec<Event>) {
        if self.outcome.is_some() {
            return;
        }
        let Some(child) = &mut self.child else { return };
        let ended: Ended = match child.try_wait() {
            Ok(None) => return,
            Ok(Some(ended)) => ended,
            Err(error) => {
                self.outcome = Some(Err(errno(&error)));
                return events.push(Event::Error(self.id, ChildError::Wait(error)));
            }
        };
        // All that it has ever sent is here by now, and comes first. If somebody else holds its end
        // of the channel too, that has no end yet, and more may come: we do not wait for it.
        for _ in 0..MOST_BATCHES {
            self.hear(events);
            if !self.more {
                break;
            }
        }
        self.outcome = Some(Ok(ended));
        events.push(Event::Exit(self.id, ended));
    }
    // ANCHOR_END: reap

    /// Closes the channel from our side.
    pub fn disconnect(&mut self, events: &mut Vec<Event>) {
        if let Some(channel) = self.channel.take() {
            let id = self.id;
            let back = channel.into_unacknowledged().into_iter();
            events.extend(
                back.map(|(message, fd)| Event::Unacknowledged(id, message, fd)),
            );
            events.push(Event::Disconnect(id));
        }
    }

    // ANCHOR: close
    /// Says so when nothing more can come.
    pub fn close(&mut self, events: &mut Vec<Event>) {
        if let Some(outcome) = self.outcome {
            if !self.closed && self.channel.is_none() && self.output.is_empty() {
                self.closed = true;
                events.push(Event::Close(self.id, outcome));
            }
        }
    }
    // ANCHOR_END: close
}

/// The channel, and the ends of the pipes that the child prints to, none of which blocks.
fn transports(
    stream: UnixStream,
    ends: Vec<OwnedFd>,
) -> io::Result<(HandleChannel, Vec<File>)> {
    for end in &ends {
        // The child's end is another open file description, and stays blocking.
        fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    Ok((HandleChannel::new(stream)?, ends.into_iter().map(File::from).collect()))
}
