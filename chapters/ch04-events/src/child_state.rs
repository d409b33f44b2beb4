// ANCHOR: imports
//! One child: its process, its channel and its output.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    process::Command,
};

use ch01_fork_ipc::{Child, SendError};
use ch02_balance::Received;
use ch03_handles::HandleChannel;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::signal::Signal,
    unistd::Pid,
};

use crate::{ChildError, Event, Id, Outcome, event::errno};
// ANCHOR_END: imports

// ANCHOR: child_state
/// A child, from its start until its last event.
#[derive(Debug)]
pub(crate) struct ChildState {
    id: Id,
    /// `None`: it could not be started.
    child: Option<Child>,
    /// Whether messages can be sent to the child.
    pub connected: bool,
    /// `None`: closed. It may be open and not connected: after a `disconnect`,
    /// until everything that was sent before has left.
    pub channel: Option<HandleChannel>,
    /// Our ends of the pipes that the child prints to, until they end.
    pub output: Vec<File>,
    stage: Stage,
}
// ANCHOR_END: child_state

// ANCHOR: stage
#[derive(Debug, Clone, Copy)]
enum Stage {
    Running,
    /// The child was waited for. Its last messages may be unread: how many
    /// calls may still read them.
    Reaped(Outcome, u32),
    /// `Exit` was reported, if there is one.
    Exited(Outcome),
    /// `Close` was reported.
    Closed,
}
// ANCHOR_END: stage

// ANCHOR: last_receives
/// How often a child's channel is read after the child exited. The kernel holds
/// a few hundred KiB for a channel, and [`HandleChannel::receive`] takes 64 KiB
/// of that, or 64 messages: what is still unread after so many calls was not
/// sent by the child, but by a descendant that writes without a pause.
const LAST_RECEIVES: u32 = 16;
// ANCHOR_END: last_receives

impl ChildState {
    // ANCHOR: start
    /// Starts a child, or reports why that is impossible.
    pub fn start(id: Id, command: Command, events: &mut Vec<Event>) -> ChildState {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut state = ChildState {
            id,
            child: None,
            connected: false,
            channel: None,
            output: Vec::new(),
            stage: Stage::Running,
        };
        match state.spawn(command) {
            Ok(()) => events.push(Event::Spawn(id)),
            Err(error) => {
                state.stage = Stage::Exited(Err(errno(&error)));
                let error = ChildError::Start(program, error);
                events.extend([Event::Error(id, error), Event::Disconnect(id)]);
            }
        }
        state
    }

    fn spawn(&mut self, command: Command) -> io::Result<()> {
        let (mut child, stream) = Child::spawn(command)?;
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stderr = child.stderr.take().map(OwnedFd::from);
        for end in stdout.into_iter().chain(stderr) {
            // The child's end is another open file description, and still blocks.
            fcntl(&end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            self.output.push(File::from(end));
        }
        self.channel = Some(HandleChannel::new(stream)?);
        self.child = Some(child);
        self.connected = true;
        Ok(())
    }
    // ANCHOR_END: start

    // ANCHOR: receive
    /// Reads from the channel: a part, if there is a lot.
    pub fn receive(&mut self, events: &mut Vec<Event>) {
        let Some(channel) = &mut self.channel else { return };
        let id = self.id;
        for received in channel.receive() {
            events.push(match received {
                Received::Message(message) => Event::Message(id, message, None),
                Received::Handle(message, handle) => {
                    Event::Message(id, message, Some(handle))
                }
                Received::Acked => Event::Acked(id),
                Received::Returned(message, fd) => Event::Returned(id, message, fd),
                Received::Ignored(why) => {
                    Event::Error(id, ChildError::Ignored(why))
                }
                Received::Closed(error) => {
                    let error = error.map(ChildError::Receive);
                    events.extend(error.map(|error| Event::Error(id, error)));
                    return self.close_channel(events);
                }
            });
        }
        if channel.is_disconnected() {
            self.close_channel(events);
        }
    }
    // ANCHOR_END: receive

    // ANCHOR: close_channel
    fn close_channel(&mut self, events: &mut Vec<Event>) {
        let Some(channel) = self.channel.take() else { return };
        self.connected = false;
        for (message, fd) in channel.into_unacknowledged() {
            events.push(Event::Returned(self.id, message, fd));
        }
        events.push(Event::Disconnect(self.id));
    }
    // ANCHOR_END: close_channel

    // ANCHOR: read_output
    /// Reads once from each pipe that the child prints to.
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
    // ANCHOR_END: read_output

    // ANCHOR: reap
    /// Asks waitpid(2) whether the child has exited.
    pub fn reap(&mut self) {
        let (Stage::Running, Some(child)) = (self.stage, &mut self.child) else {
            return;
        };
        let outcome = match child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => Ok(status),
            Err(error) => Err(errno(&error)),
        };
        // `Exit` has to wait: the child's last messages may be in the socket still.
        self.stage = Stage::Reaped(outcome, LAST_RECEIVES);
    }
    // ANCHOR_END: reap

    // ANCHOR: finish
    /// Reports `Exit` and `Close` when it is time to: for a child that was
    /// waited for, when nothing is `unread` in its channel. This is what
    /// poll(2) said *after* waitpid(2).
    pub fn finish(&mut self, unread: bool, events: &mut Vec<Event>) {
        match self.stage {
            Stage::Reaped(outcome, calls) if unread && calls > 0 => {
                self.stage = Stage::Reaped(outcome, calls - 1);
            }
            Stage::Reaped(outcome, _) => {
                self.stage = Stage::Exited(outcome);
                if !self.connected {
                    self.close_channel(events);
                }
                events.push(match outcome {
                    Ok(status) => Event::Exit(self.id, status),
                    Err(errno) => {
                        Event::Error(self.id, ChildError::Wait(errno.into()))
                    }
                });
            }
            _ => {}
        }
        let ended = self.channel.is_none() && self.output.is_empty();
        if let (Stage::Exited(outcome), true) = (self.stage, ended) {
            self.stage = Stage::Closed;
            events.push(Event::Close(self.id, outcome));
        }
    }
    // ANCHOR_END: finish

    // ANCHOR: disconnect
    /// Closes the channel once everything that was sent has left. Often that is
    /// now.
    ///
    /// # Errors
    /// [`SendError::Closed`]: it is closed, or about to close.
    pub fn disconnect(&mut self, events: &mut Vec<Event>) -> Result<(), SendError> {
        let Some(channel) = &mut self.channel else {
            return Err(SendError::Closed);
        };
        channel.disconnect()?;
        self.connected = false;
        // After the exit, only a descendant can hold the other end. It may
        // never read.
        if channel.is_disconnected() || matches!(self.stage, Stage::Exited(_)) {
            self.close_channel(events);
        }
        Ok(())
    }
    // ANCHOR_END: disconnect

    // ANCHOR: small
    /// The process id; `None` if the child could not be started.
    pub fn pid(&self) -> Option<Pid> {
        self.child.as_ref().map(Child::pid)
    }

    /// Whether this is the child with this process id, and it was not waited for.
    pub fn is_running_as(&self, pid: i32) -> bool {
        let is_running = matches!(self.stage, Stage::Running);
        is_running && self.pid().is_some_and(|own| own.as_raw() == pid)
    }

    /// Whether the child was waited for, and `Exit` was not reported yet.
    pub fn is_reaped(&self) -> bool {
        matches!(self.stage, Stage::Reaped(..))
    }

    /// Whether its last event was reported.
    pub fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closed)
    }

    /// Sends a signal. A child that was waited for gets none.
    pub fn kill(&self, signal: Signal) -> io::Result<()> {
        match &self.child {
            Some(child) if matches!(self.stage, Stage::Running) => {
                child.kill(signal)
            }
            _ => Ok(()),
        }
    }
    // ANCHOR_END: small
}
