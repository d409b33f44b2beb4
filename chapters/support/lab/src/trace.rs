//! strace, run over a program: its lines, as they come.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Read},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{
            fs::{DirBuilderExt, OpenOptionsExt},
            process::CommandExt,
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context;
use nix::{
    fcntl::{FcntlArg, FdFlag, OFlag, fcntl},
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::Mode,
    unistd::{mkfifo, pipe2},
};

use crate::{random::random_name, warden::kill_and_reap};

/// The calls that are traced. An unknown name would make strace fail, but for the `?`
/// before it: kernels and machines differ.
const CALLS: &str = "?%process,?%signal,?%network,?read,?write,?readv,?writev,?pread64,\
    ?pwrite64,?sendfile,?splice,?close,?close_range,?dup,?dup2,?dup3,?fcntl,?pipe,?pipe2,\
    ?open,?openat,?openat2,?creat,?poll,?ppoll,?select,?pselect6,?epoll_create,\
    ?epoll_create1,?epoll_ctl,?epoll_wait,?epoll_pwait,?epoll_pwait2,?eventfd,?eventfd2,\
    ?signalfd,?signalfd4,?timerfd_create,?inotify_init1,?memfd_create,?flock,?nanosleep,\
    ?clock_nanosleep,?pause,?restart_syscall,?io_uring_setup,?pidfd_open,?pidfd_getfd,\
    ?prctl,?ioctl";

/// A line that has begun and does not go on for this long, in milliseconds, is a call
/// that blocks.
const PARTIAL_AFTER: u16 = 40;

/// What strace has printed.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// A whole line, without its end.
    Line(String),
    /// The beginning of a line: its call blocks. The whole line follows later.
    Partial(String),
    /// Nothing new for a while.
    Quiet,
    /// strace has exited.
    End,
}

/// A program under strace.
#[derive(Debug)]
pub struct Trace {
    warden: Child,
    lines: Lines<File>,
    _fifo: Fifo,
}

/// The program ends when this is dropped, however that comes: the warden has the other
/// end, and reads the end of the stream.
#[derive(Debug)]
pub struct Lifeline {
    _end: OwnedFd,
}

impl Trace {
    /// Starts `program` under `strace`. It has this process's standard input, output and
    /// error; but no input from a terminal, for it is not in the foreground.
    ///
    /// # Errors
    /// The FIFO for strace's lines, or the warden.
    pub fn start(
        strace: &Path,
        program: &[OsString],
    ) -> anyhow::Result<(Trace, Lifeline)> {
        let fifo = Fifo::new().context("cannot make a FIFO")?;
        let mut command = Command::new("/proc/self/exe");
        let (theirs, ours) =
            pipe2(OFlag::O_CLOEXEC).context("cannot make a pipe")?;
        let number = theirs.as_raw_fd();
        command.arg("--warden").arg(number.to_string());
        command.arg(&fifo.directory).arg(strace);
        command.args(["-f", "-q", "-ttt", "-y", "-s", "4096", "-e", "signal=all"]);
        command.arg("-e").arg(format!("trace={CALLS}"));
        if can_kill_on_exit(strace) {
            command.arg("--kill-on-exit");
        }
        command.arg("-o").arg(fifo.path()).arg("--").args(program);
        // A group of its own: Ctrl-C is for the lab.
        command.process_group(0);
        if io::stdin().is_terminal() {
            command.stdin(Stdio::null());
        }
        let keep = move || {
            // SAFETY: `theirs` lives until the warden was started.
            let theirs = unsafe { BorrowedFd::borrow_raw(number) };
            fcntl(theirs, FcntlArg::F_SETFD(FdFlag::empty()))?;
            Ok(())
        };
        // SAFETY: fcntl(2) is async-signal-safe.
        unsafe { command.pre_exec(keep) };
        // It does not wait for strace, which may fail before it opens the other end.
        let lines = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(fifo.path())
            .context("cannot open the FIFO")?;
        let warden = command.spawn().context("cannot start the warden")?;
        drop(theirs);
        let trace = Trace { warden, lines: Lines::new(lines), _fifo: fifo };
        Ok((trace, Lifeline { _end: ours }))
    }

    /// The process below which the program runs.
    pub fn warden(&self) -> i32 {
        self.warden.id() as i32
    }

    /// Waits for what strace prints next.
    ///
    /// # Errors
    /// The FIFO cannot be read.
    pub fn read(&mut self) -> io::Result<Output> {
        match self.lines.read()? {
            // strace has perhaps never opened its end.
            Output::Quiet if self.warden.try_wait()?.is_some() => Ok(Output::End),
            output => Ok(output),
        }
    }

    /// Waits until nothing of the program is left.
    ///
    /// # Errors
    /// waitpid(2).
    pub fn end(mut self) -> io::Result<()> {
        self.warden.wait()?;
        // If the warden was killed, what it had is this process's now.
        kill_and_reap();
        Ok(())
    }
}

/// Whether this strace kills the program when it is killed itself: since 6.4.
fn can_kill_on_exit(strace: &Path) -> bool {
    let help = Command::new(strace).arg("--help").output();
    help.is_ok_and(|it| {
        String::from_utf8_lossy(&it.stdout).contains("--kill-on-exit")
    })
}

/// A FIFO in a directory that only this user can enter.
#[derive(Debug)]
struct Fifo {
    directory: PathBuf,
}

impl Fifo {
    fn new() -> io::Result<Fifo> {
        let directory =
            std::env::temp_dir().join(format!("lab-{}", random_name()?));
        fs::DirBuilder::new().mode(0o700).create(&directory)?;
        let fifo = Fifo { directory };
        mkfifo(&fifo.path(), Mode::S_IRUSR | Mode::S_IWUSR)?;
        Ok(fifo)
    }

    fn path(&self) -> PathBuf {
        self.directory.join("strace")
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        // The warden has perhaps removed it already.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Cuts a stream into lines.
#[derive(Debug)]
struct Lines<R> {
    stream: R,
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// The length of the partial line that was returned last.
    partial: usize,
}

impl<R: Read + AsFd> Lines<R> {
    fn new(stream: R) -> Lines<R> {
        Lines { stream, buffer: Vec::new(), start: 0, partial: 0 }
    }

    fn read(&mut self) -> io::Result<Output> {
        loop {
            let rest = &self.buffer[self.start..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&rest[..end]).into_owned();
                self.start += end + 1;
                self.partial = 0;
                return Ok(Output::Line(line));
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            let mut polled = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
            if poll(&mut polled, PollTimeout::from(PARTIAL_AFTER))? == 0 {
                let length = self.buffer.len();
                if length == self.partial {
                    return Ok(Output::Quiet);
                }
                self.partial = length;
                let text = String::from_utf8_lossy(&self.buffer).into_owned();
                return Ok(Output::Partial(text));
            }
            let mut bytes = [0; 1 << 16];
            match self.stream.read(&mut bytes)? {
                0 => return Ok(Output::End),
                count => self.buffer.extend_from_slice(&bytes[..count]),
            }
        }
    }
}
