//! What a worker is told: by its parent, and by signals.

use ch01_fork_ipc::RecvError;
use ch03_handles::{Delivery, Handle, Received};
use cli::{complain, reason};

use super::{Connection, Handler, Worker, drain::Why};

impl<H: Handler> Worker<H> {
    /// Takes the listener, when it comes, and sees whether the parent is gone.
    pub(super) fn hear_parent(&mut self) {
        while let Some(channel) = &mut self.channel {
            match channel.recv() {
                Ok(Some(Delivery::Message(received))) => self.receive(received),
                Ok(Some(Delivery::Wrong(_, wrong))) => complain(wrong),
                Ok(Some(Delivery::Missing)) => {
                    complain("the listener was lost on its way here")
                }
                Ok(Some(
                    Delivery::Acked | Delivery::Refused(..) | Delivery::Internal,
                )) => {}
                Err(error) if error.would_block() => return,
                Err(error @ RecvError::Json(_)) => complain(error),
                Ok(None) => self.parent_is_gone(),
                Err(error) => {
                    complain(error);
                    self.parent_is_gone();
                }
            }
        }
    }

    // ANCHOR: receive
    fn receive(&mut self, received: Received) {
        match (received.message.as_str(), received.handle) {
            (Some("server"), Some(Handle::TcpListener(listener))) => {
                // Of several workers that poll(2) wakes for one connection, all but one find
                // nothing. None may then wait in accept(2), deaf to everything else.
                match listener.set_nonblocking(true) {
                    Ok(()) => self.listener = Some(listener),
                    Err(error) => complain(format_args!(
                        "useless listener: {}",
                        reason(&error)
                    )),
                }
            }
            (Some("connection"), Some(Handle::Tcp(stream))) => {
                let connection = Connection::new(stream).inspect_err(|error| {
                    complain(format_args!("useless connection: {}", reason(error)));
                });
                self.connections.extend(connection);
            }
            (_, Some(handle)) => {
                complain(format_args!("a {} is no use here", handle.node_type()));
            }
            (_, None) => match received.message["act"].as_str() {
                Some("adopts") => self.parent_adopts = true,
                Some("go") => self.may_end(),
                Some("keep") => self.all_end(),
                _ => {}
            },
        }
    }
    // ANCHOR_END: receive

    fn parent_is_gone(&mut self) {
        self.channel = None;
        self.start_draining(Why::ParentIsGone);
    }

    pub(super) fn hear_signals(&mut self) {
        if !self.signals.take().is_empty() {
            // What the parent has said before it sent the signal comes first.
            self.hear_parent();
            self.start_draining(Why::Terminated);
        }
    }
}
