//! The flags that the chapters' parents share, and what they are for.

use std::{
    env,
    ffi::OsString,
    io,
    net::{TcpListener, ToSocketAddrs},
    num::NonZero,
    path::PathBuf,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use nix::sys::socket::{Backlog, listen as listen_again};

use crate::{Arguments, log, reason, unexpected};

/// Connections that may wait in a listener until somebody accepts them.
///
/// `std` asks for 128. That is too few while all workers are being replaced: a full queue makes the
/// kernel drop the next SYN, and its client waits a second before it tries again (listen(2)).
const BACKLOG: i32 = 4096;

/// How long a listener is left alone after accept(2) has failed.
///
/// With no descriptor or memory left, accept(2) fails at once and the connection stays in the
/// queue, so poll(2) calls again at once: without a pause that is a busy loop.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The flags of a parent. A chapter's program hands over every argument that is not its own.
#[derive(Debug)]
pub struct Options {
    /// `--addr`: where to listen. Localhost, unless the user says otherwise.
    pub addr: String,
    /// `--port`: 0 takes a free one.
    pub port: u16,
    /// `--workers`: 1 to 1024; as many as there are CPUs where not given.
    pub workers: usize,
    /// `--exec PROGRAM ARG...`: what to run as the child in place of the chapter's own worker.
    pub exec: Option<Vec<OsString>>,
    takes: &'static [&'static str],
    /// The path of this program's file. Asked for at the start: once the file has been rebuilt, Linux
    /// only names the old one, as `(deleted)`.
    own: io::Result<PathBuf>,
}

impl Options {
    /// The defaults. `takes` names the flags that this chapter has, such as `["--addr", "--port"]`.
    pub fn new(takes: &'static [&'static str]) -> Options {
        Options {
            addr: "127.0.0.1".to_owned(),
            port: 1337,
            workers: thread::available_parallelism()
                .map_or(1, NonZero::get)
                .min(1024),
            exec: None,
            takes,
            own: env::current_exe(),
        }
    }

    /// Takes one `word` of the command line, and its value from `arguments`.
    ///
    /// # Errors
    /// A flag that this chapter does not have, a value that makes no sense.
    pub fn take(
        &mut self,
        word: &str,
        arguments: &mut Arguments,
    ) -> anyhow::Result<()> {
        match word {
            _ if !self.takes.contains(&word) => return Err(unexpected(word)),
            "--addr" => self.addr = arguments.value()?,
            "--port" => self.port = arguments.number("--port", 0, u16::MAX)?,
            "--workers" => self.workers = arguments.number("--workers", 1, 1024)?,
            "--exec" => self.exec = Some(arguments.rest("--exec")?),
            _ => return Err(unexpected(word)),
        }
        Ok(())
    }

    /// The command that starts a child: `--exec`'s where that was given, else this same program
    /// again, as `worker`.
    ///
    /// # Errors
    /// When the system cannot tell where this program's file is.
    pub fn worker(&self) -> anyhow::Result<Command> {
        match self.exec.as_deref() {
            Some([program, arguments @ ..]) => {
                let mut command = Command::new(program);
                command.args(arguments);
                Ok(command)
            }
            _ => {
                let own =
                    self.own.as_ref().map_err(|error| anyhow!("{}", reason(error)));
                let mut command =
                    Command::new(own.context("cannot find this program's file")?);
                command.arg("worker");
                Ok(command)
            }
        }
    }

    /// Listens on `--addr` and `--port`, and says so: `listening on http://127.0.0.1:1337`.
    ///
    /// # Errors
    /// `cannot listen on 127.0.0.1:1337: Address already in use`, and the like.
    pub fn listen(&self) -> anyhow::Result<TcpListener> {
        let listener = listen(&self.addr, self.port).with_context(|| {
            format!("cannot listen on {}:{}", self.addr, self.port)
        })?;
        log(format_args!("listening on http://{}", listener.local_addr()?));
        Ok(listener)
    }
}

fn listen(addr: &str, port: u16) -> io::Result<TcpListener> {
    let addresses: Vec<_> =
        (addr.trim_matches(['[', ']']), port).to_socket_addrs()?.collect();
    let listener = TcpListener::bind(&*addresses)?;
    let backlog = Backlog::new(BACKLOG).unwrap_or(Backlog::MAXCONN);
    listen_again(&listener, backlog)?;
    Ok(listener)
}
