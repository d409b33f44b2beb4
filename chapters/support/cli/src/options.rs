//! The flags that the chapters' parents share, and what they are for.

use std::{
    env, ffi::OsString, io, net::TcpListener, num::NonZero, path::PathBuf,
    process::Command, thread,
};

use anyhow::{Context as _, anyhow};

use crate::{
    arguments::{Arguments, unexpected},
    listen::listen,
    output::log,
    reason::reason,
};

/// The flags of a parent. A chapter's program passes on every argument that is not
/// its own.
#[derive(Debug)]
pub struct Options {
    /// `--addr`: where to listen. The default is localhost.
    pub addr: String,
    /// `--port`: the default is 1337; 0 takes a free port.
    pub port: u16,
    /// `--workers`: 1 to 1024; the default is the number of CPUs.
    pub workers: usize,
    /// `--exec PROGRAM ARG...`: the child's program, in place of the chapter's own
    /// worker.
    pub exec: Option<Vec<OsString>>,
    known: &'static [&'static str],
    /// The path of this program's file, read at the start: once the file is
    /// rebuilt, Linux returns the old one, marked `(deleted)`.
    own_path: io::Result<PathBuf>,
}

impl Options {
    /// The defaults. `known` names the flags of this chapter, such as
    /// `["--addr", "--port"]`.
    pub fn new(known: &'static [&'static str]) -> Options {
        Options {
            addr: "127.0.0.1".to_owned(),
            port: 1337,
            workers: thread::available_parallelism()
                .map_or(1, NonZero::get)
                .min(1024),
            exec: None,
            known,
            own_path: env::current_exe(),
        }
    }

    /// Takes one `word` of the command line, and its value from `arguments`.
    ///
    /// # Errors
    /// A flag that this chapter does not have, or a wrong value.
    pub fn take(
        &mut self,
        word: &str,
        arguments: &mut Arguments,
    ) -> anyhow::Result<()> {
        match word {
            _ if !self.known.contains(&word) => return Err(unexpected(word)),
            "--addr" => self.addr = arguments.value()?,
            "--port" => self.port = arguments.number("--port", 0, u16::MAX)?,
            "--workers" => self.workers = arguments.number("--workers", 1, 1024)?,
            "--exec" => self.exec = Some(arguments.rest("--exec")?),
            _ => return Err(unexpected(word)),
        }
        Ok(())
    }

    /// The command that starts a child: the one of `--exec`, or else this program
    /// again, as `worker`.
    ///
    /// # Errors
    /// If the path of this program's file cannot be read: without `/proc`, for
    /// example.
    pub fn worker(&self) -> anyhow::Result<Command> {
        if let Some([program, arguments @ ..]) = self.exec.as_deref() {
            let mut command = Command::new(program);
            command.args(arguments);
            return Ok(command);
        }
        let path = self.own_path.as_ref().map_err(|error| {
            anyhow!("cannot find this program's file: {}", reason(error))
        })?;
        let mut command = Command::new(path);
        command.arg("worker");
        Ok(command)
    }

    /// Listens on `--addr` and `--port`, and logs the address:
    /// `listening on http://127.0.0.1:1337`.
    ///
    /// # Errors
    /// `cannot listen on 127.0.0.1:1337: Address already in use`, and the like.
    pub fn listen(&self) -> anyhow::Result<TcpListener> {
        // As in a URL: the colons of an IPv6 address stand in brackets.
        let mut host = self.addr.clone();
        if host.contains(':') && !host.starts_with('[') {
            host = format!("[{host}]");
        }
        let (listener, address) = listen(&self.addr, self.port)
            .with_context(|| format!("cannot listen on {host}:{}", self.port))?;
        log(format_args!("listening on http://{address}"));
        Ok(listener)
    }
}
