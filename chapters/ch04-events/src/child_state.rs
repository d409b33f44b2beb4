// ANCHOR: imports
//! One child: its process, its channel and its output.

use std::{
    fs::File,
    io::{self, Read},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{ChildStderr, ChildStdout, Command},
};

use ch01_fork_ipc::Child;
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
    pub pid: Option<Pid>,
    stage: Stage,
    /// `None`: closed.
    pub channel: Option<HandleChannel>,
    /// Whether messages can be sent. After a `disconnect` they cannot, and the
    /// channel is open until everything that was sent before has left.
    pub connected: bool,
    /// Our ends of the pipes that the child prints to, until they end.
    pub output: Vec<File>,
}
// ANCHOR_END: child_state

// ANCHOR: stage
#[derive(Debug)]
enum Stage {
    Running(Child),
    /// The child was waited for. Its last messages may be unread: how many
    /// calls may still read them.
    Reaped(Outcome, u32),
    /// `Exit` was reported; or the child could not be started.
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
pub(crate) const LAST_RECEIVES: u32 = 16;
// ANCHOR_END: last_receives

impl ChildState {
    // ANCHOR: start
    /// Starts a child, or reports why that is impossible.
    pub fn start(id: Id, command: Command, events: &mut Vec<Event>) -> ChildState {
        let program = command.get_program().to_string_lossy().into_owned();
        match ChildState::spawn(id, command) {
            Ok(state) => {
                events.push(Event::Spawn(id));
                state
            }
            Err(error) => {
                let stage = Stage::Exited(Err(errno(&error)));
                let error = ChildError::Start(program, error);
                events.extend([Event::Error(id, error), Event::Disconnect(id)]);
                ChildState {
                    id,
                    pid: None,
                    stage,
                    channel: None,
                    connected: false,
                    output: Vec::new(),
                }
            }
        }
    }

    fn spawn(id: Id, command: Command) -> io::Result<ChildState> {
        let (child, stream) = Child::spawn(command)?;
        ChildState::observe(id, child, stream)
    }

    fn observe(
        id: Id,
        mut child: Child,
        stream: UnixStream,
    ) -> io::Result<ChildState> {
        let ends = (child.stdout.take(), child.stderr.take());
        match open_ends(stream, ends) {
            Ok((channel, output)) => Ok(ChildState {
                id,
                pid: Some(child.pid()),
                stage: Stage::Running(child),
                channel: Some(channel),
                connected: true,
                output,
            }),
            Err(error) => {
                // It is reported as a child that could not be started.
                let _ = child.kill(Signal::SIGKILL);
                let _ = child.wait();
                Err(error)
            }
        }
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
                Received::Internal(_) => continue,
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
        let Stage::Running(child) = &mut self.stage else { return };
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
    /// Reports `Exit` if the child was waited for and nothing in its channel is
    /// `unread`: that is what poll(2) said *after* waitpid(2). Then reports
    /// `Close`, if the channel and the output have ended, too.
    pub fn finish(&mut self, unread: bool, events: &mut Vec<Event>) {
        match &mut self.stage {
            Stage::Reaped(_, calls) if unread && *calls > 0 => *calls -= 1,
            &mut Stage::Reaped(outcome, _) => {
                self.stage = Stage::Exited(outcome);
                // After a `disconnect` it was open for what was not sent yet. Now
                // only a descendant can hold the other end, and may never read.
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
        if let (&Stage::Exited(outcome), true) = (&self.stage, ended) {
            self.stage = Stage::Closed;
            events.push(Event::Close(self.id, outcome));
        }
    }
    // ANCHOR_END: finish

    // ANCHOR: disconnect
    /// Closes the channel once everything that was sent has left. Often that is
    /// now. Returns false if it is closed, or about to close.
    pub fn disconnect(&mut self, events: &mut Vec<Event>) -> bool {
        let Some(channel) = &mut self.channel else { return false };
        if channel.disconnect().is_err() {
            return false;
        }
        self.connected = false;
        // After the exit, only a descendant can hold the other end. It may
        // never read.
        if channel.is_disconnected() || matches!(self.stage, Stage::Exited(_)) {
            self.close_channel(events);
        }
        true
    }
    // ANCHOR_END: disconnect

    // ANCHOR: small
    /// Whether this is the child with this process id, and it was not waited for.
    pub fn is_running_as(&self, pid: i32) -> bool {
        matches!(&self.stage, Stage::Running(child) if child.pid().as_raw() == pid)
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
        match &self.stage {
            Stage::Running(child) => child.kill(signal),
            _ => Ok(()),
        }
    }
    // ANCHOR_END: small
}

// ANCHOR: open_ends
/// The channel to a child, and our ends of the pipes that it prints to. None of
/// them blocks.
fn open_ends(
    stream: UnixStream,
    (stdout, stderr): (Option<ChildStdout>, Option<ChildStderr>),
) -> io::Result<(HandleChannel, Vec<File>)> {
    let channel = HandleChannel::new(stream)?;
    let mut output = Vec::new();
    let ends = [stdout.map(OwnedFd::from), stderr.map(OwnedFd::from)];
    for end in ends.into_iter().flatten() {
        // The child's end is another open file description, and still blocks.
        fcntl(&end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        output.push(File::from(end));
    }
    Ok((channel, output))
}
// ANCHOR_END: open_ends

#[cfg(test)]
mod tests {
    use nix::{errno::Errno, sys::signal::kill};

    use super::*;

    /// A descriptor that was opened with `O_PATH` cannot be made non-blocking.
    #[test]
    fn a_child_that_cannot_be_observed_is_killed_and_reaped() {
        let mut command = Command::new("sleep");
        command.arg("1000");
        let (mut child, stream) = Child::spawn(command).expect("it is started");
        let path = OFlag::O_PATH;
        let fd = nix::fcntl::open("/", path, nix::sys::stat::Mode::empty());
        child.stdout = Some(ChildStdout::from(fd.expect("it is there")));
        let pid = child.pid();
        let error = ChildState::observe(Id(0), child, stream).expect_err("EBADF");
        assert_eq!(errno(&error), Errno::EBADF);
        assert_eq!(
            kill(pid, None),
            Err(Errno::ESRCH),
            "neither process nor zombie"
        );
    }
}
