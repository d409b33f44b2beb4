//! One child, and the doors through which it is heard.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    process::Command,
};

use ch01_fork_ipc::{Child, Ended, RecvError};
use ch03_handles::{Delivery, HandleChannel};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
};

use crate::{ChildError, Event, Id, Outcome, event::errno};

/// Messages that are taken from one child in a row. One that sends without pause must not keep the
/// others waiting.
const BATCH: usize = 256;

/// More than the kernel holds for a channel, however short the messages.
const MOST_BATCHES: usize = 1024;

/// A child, from its start until all its doors are closed.
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
}

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
        let output =
            [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
        self.child = Some(child);
        self.channel = Some(HandleChannel::new(stream)?);
        for end in output.into_iter().flatten() {
            // Ours alone: the child's end is another open file, and stays as it was.
            fcntl(&end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            self.output.push(File::from(end));
        }
        Ok(())
    }

    /// Takes what the child has sent; true if there may be more.
    pub fn hear(&mut self, events: &mut Vec<Event>) -> bool {
        let id = self.id;
        for _ in 0..BATCH {
            let Some(channel) = &mut self.channel else { return false };
            // If the child is gone, recv says so as well, after its last words.
            let _ = channel.pump();
            events.push(match channel.recv() {
                Ok(Some(Delivery::Message(received))) => Event::Message(id, received),
                Ok(Some(Delivery::Acked)) => Event::Acked(id),
                Ok(Some(Delivery::Refused(..))) => Event::Error(id, ChildError::Refused),
                Ok(Some(Delivery::Wrong(_, wrong))) => Event::Error(id, ChildError::Wrong(wrong)),
                Ok(Some(Delivery::Missing)) => Event::Error(id, ChildError::Missing),
                Err(error) if error.would_block() => return false,
                Err(error @ RecvError::Json(_)) => Event::Error(id, ChildError::Receive(error)),
                Ok(None) => {
                    self.disconnect(events);
                    return false;
                }
                // No further message can be made of this stream.
                Err(error) => {
                    events.push(Event::Error(id, ChildError::Receive(error)));
                    self.disconnect(events);
                    return false;
                }
            });
        }
        true
    }

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
            if !self.hear(events) {
                break;
            }
        }
        self.outcome = Some(Ok(ended));
        events.push(Event::Exit(self.id, ended));
    }

    /// Closes the channel from our side.
    pub fn disconnect(&mut self, events: &mut Vec<Event>) {
        if self.channel.take().is_some() {
            events.push(Event::Disconnect(self.id));
        }
    }

    /// Says so when nothing more can come.
    pub fn close(&mut self, events: &mut Vec<Event>) {
        if let Some(outcome) = self.outcome {
            if !self.closed && self.channel.is_none() && self.output.is_empty() {
                self.closed = true;
                events.push(Event::Close(self.id, outcome));
            }
        }
    }
}
