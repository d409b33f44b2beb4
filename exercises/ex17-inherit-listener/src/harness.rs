//! Given: a server that executes its next version in its own place, and a service
//! manager that starts it.

#![allow(dead_code)] // The stub uses none of it yet.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt as _;
use std::process::{self, Command, ExitCode};
use std::time::Duration;

use anyhow::Context as _;
use ch02_balance::poll_tokens;
use ch04_events::SignalPipe;
use cli::{Arguments, reason, say, unexpected, wrong};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{SigHandler, Signal, signal};

use crate::solution::{exec_with, inherited};

const USAGE: &str = "\
A server that executes its next version in its own place.

Usage: ex17-inherit-listener [--port N] [--log FILE] [--next PROGRAM]
       ex17-inherit-listener as-service KIND COUNT WHOSE [--port N]...

  --port N         where to listen, if no listener is inherited: 1337 by default, 0 takes a free one
  --log FILE       write a line there for each response. It is opened before the listener
  --next PROGRAM   what to execute at SIGUSR2: this program by default

SIGUSR2: execute the next version. SIGUSR1: start a helper, `sleep 60`. SIGTERM: exit.

With 'as-service' it is started as systemd would start it: descriptor 3 is of the KIND tcp, udp, unix,
connection, file or closed, LISTEN_FDS is COUNT, and LISTEN_PID is WHOSE process id: own or other.
";

/// A client that sends nothing for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(1);

/// The command line.
struct Flags {
    port: u16,
    log: Option<String>,
    next: Option<String>,
    /// How many programs this process has been, this one included.
    start: u32,
}

pub fn run() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut flags = Flags { port: 1337, log: None, next: None, start: 1 };
        while let Some(word) = arguments.word()? {
            match &*word {
                "as-service" => return Err(as_service(&mut arguments)),
                "--port" => flags.port = arguments.number(&word, 0, u16::MAX)?,
                "--log" => flags.log = Some(arguments.value()?),
                "--next" => flags.next = Some(arguments.value()?),
                "--start" => flags.start = arguments.number(&word, 1, u32::MAX)?,
                other => return Err(unexpected(other)),
            }
        }
        serve(&flags)
    })
}

fn serve(flags: &Flags) -> anyhow::Result<ExitCode> {
    // SAFETY: this process has one thread, and has opened no descriptor yet.
    let inherited = unsafe { inherited() };
    let inherited = inherited.context("cannot use descriptor 3")?;
    let log = flags.log.as_ref().map(|path| {
        let file = File::options().append(true).create(true).open(path);
        file.context("cannot open the log")
    });
    let mut log = log.transpose()?;
    let listener = match inherited {
        Some(listener) => listener,
        None => {
            TcpListener::bind(("127.0.0.1", flags.port)).context("cannot listen")?
        }
    };
    listener.set_nonblocking(true)?;
    let mut signals =
        SignalPipe::new(&[Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGTERM])?;
    let address = listener.local_addr().context("cannot listen")?;
    say(format_args!("start {}: listening on http://{address}", flags.start));
    loop {
        let fds = [listener.as_fd(), signals.as_fd()];
        let fds = fds.map(|fd| ((), PollFd::new(fd, PollFlags::POLLIN)));
        poll_tokens(Vec::from(fds), None)?;
        for signal in signals.take() {
            match signal {
                Signal::SIGUSR1 => start_helper()?,
                // Each client that was accepted is answered, and all others wait
                // in the backlog.
                Signal::SIGUSR2 => upgrade(&listener, flags),
                _ => return Ok(ExitCode::SUCCESS),
            }
        }
        match listener.accept() {
            // A client that has gone away is no error.
            Ok((client, _)) => drop(answer(client, flags.start)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error).context("cannot accept"),
        }
        if let Some(log) = &mut log {
            writeln!(log, "answered").context("cannot write to the log")?;
        }
    }
}

fn answer(mut client: TcpStream, start: u32) -> std::io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(PATIENCE))?;
    // `read_line` reads again if a signal interrupts it. On a socket with a time
    // limit, a read is never restarted by the kernel (signal(7)).
    let (mut request, mut line) = (BufReader::new(&client), String::new());
    while line != "\r\n" {
        line.clear();
        if request.read_line(&mut line)? == 0 {
            return Ok(());
        }
    }
    let body = format!("the pid is {}, start {start}\n", process::id());
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    client.write_all((head + &body).as_bytes())
}

/// Executes the next version. Returns if that fails.
fn upgrade(listener: &TcpListener, flags: &Flags) {
    let own = std::env::current_exe().unwrap_or_default();
    let own = own.to_string_lossy().into_owned();
    let next = flags.next.clone().unwrap_or(own);
    let start = (flags.start + 1).to_string();
    let mut arguments = vec!["--start".to_owned(), start];
    for (flag, value) in [("--log", &flags.log), ("--next", &flags.next)] {
        if let Some(value) = value {
            arguments.extend([flag.to_owned(), value.clone()]);
        }
    }
    let error = exec_with(listener, &next, &arguments);
    say(format_args!("cannot execute {next}: {}", reason(&error)));
    // `std`'s `exec` has set SIGPIPE to its default, which would terminate this
    // process at the next client that goes away.
    // SAFETY: an ignored signal runs no code of ours.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
}

/// A program that has nothing to do with clients, and must not have the listener.
fn start_helper() -> anyhow::Result<()> {
    let helper = Command::new("sleep").arg("60").spawn()?;
    say(format_args!("helper {}", helper.id()));
    Ok(())
}

/// Executes this program again, with a descriptor 3. Returns only if that fails.
fn as_service(arguments: &mut Arguments) -> anyhow::Error {
    match try_as_service(arguments) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn try_as_service(
    arguments: &mut Arguments,
) -> anyhow::Result<std::convert::Infallible> {
    let (Some(kind), Some(count), Some(whose)) =
        (arguments.word()?, arguments.word()?, arguments.word()?)
    else {
        return Err(wrong("as-service needs KIND, COUNT and WHOSE"));
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let name = format!("ex17-{}", process::id());
    let passed: OwnedFd = match &*kind {
        "tcp" | "closed" => listener.into(),
        "udp" => UdpSocket::bind("127.0.0.1:0")?.into(),
        "unix" => {
            let name = SocketAddr::from_abstract_name(name)?;
            UnixListener::bind_addr(&name)?.into()
        }
        "connection" => TcpStream::connect(address)?.into(),
        "file" => File::open("/dev/null")?.into(),
        other => return Err(wrong(format_args!("there is no kind '{other}'"))),
    };
    let pid = match &*whose {
        "own" => process::id(), // exec keeps it
        "other" => 1,
        other => return Err(wrong(format_args!("'{other}' is not own or other"))),
    };
    say(format_args!("the service manager listens on {address}"));
    // A shell makes descriptor 3 of its standard input, and executes the server.
    let script = match &*kind {
        "closed" => r#"exec "$0" "$@" 0</dev/null"#,
        _ => r#"exec "$0" "$@" 3<&0 0</dev/null"#,
    };
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(std::env::current_exe()?);
    shell.args(arguments.remaining()).stdin(passed);
    shell.env("LISTEN_FDS", count).env("LISTEN_PID", pid.to_string());
    shell.env("LISTEN_FDNAMES", "web");
    Err(shell.exec()).context("cannot execute a shell")
}
