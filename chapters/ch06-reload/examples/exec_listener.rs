//! Step 3: SIGUSR2 starts the program file anew, and gives it the listener.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown::Both, TcpListener, TcpStream};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, id};
use std::{env, thread};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::getppid;

/// `$$` is the shell's process id. The program gets it, for exec keeps it.
const PASS_ON: &str = r#"LISTEN_PID=$$ exec "$0" "$@" 3<&0 0</dev/null"#;

fn main() -> io::Result<()> {
    let inherited = env::var("LISTEN_PID") == Ok(id().to_string());
    let address = env::args().nth(1).unwrap_or("127.0.0.1:1337".to_owned());
    let listener = match inherited {
        // SAFETY: the variable says that descriptor 3 is for this process.
        true => unsafe { TcpListener::from_raw_fd(3) },
        false => TcpListener::bind(address)?,
    };
    println!("process {}: listening on http://{}", id(), listener.local_addr()?);
    listener.set_nonblocking(true)?; // both programs poll, but one can accept
    let signals = SigSet::from_iter([Signal::SIGUSR2, Signal::SIGTERM]);
    signals.thread_block()?; // in every thread: they are kept until we ask
    let (stop, stopped) = UnixStream::pair()?;
    thread::scope(|scope| {
        scope.spawn(|| serve(&listener, &stopped));
        if env::var("OLD_PID") == Ok(getppid().to_string()) {
            kill(getppid(), Signal::SIGTERM)?; // this program is ready
        }
        while signals.wait()? == Signal::SIGUSR2 {
            let mut program = Command::new("sh");
            program.args(["-c", PASS_ON]).args(env::args());
            program.env("LISTEN_FDS", "1").env("OLD_PID", id().to_string());
            program.stdin(OwnedFd::from(listener.try_clone()?));
            let mut child = program.spawn()?;
            thread::spawn(move || println!("the new program: {:?}", child.wait()));
        }
        stop.shutdown(Both)
    })
}

fn serve(listener: &TcpListener, stopped: &UnixStream) -> io::Result<()> {
    let fds = [stopped.as_fd(), listener.as_fd()];
    let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    thread::scope(|scope| {
        while poll(&mut fds, PollTimeout::NONE)? > 0 && fds[0].any() == Some(false)
        {
            if let Ok((client, _)) = listener.accept() {
                scope.spawn(|| answer(client));
            }
        }
        Ok(())
    })
}

fn answer(mut client: TcpStream) -> io::Result<()> {
    let mut head = BufReader::new(&client).lines().map_while(Result::ok);
    head.find(String::is_empty).ok_or(io::ErrorKind::UnexpectedEof)?;
    let text = format!("answered by process {}\n", id());
    client.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{text}").as_bytes())
}
