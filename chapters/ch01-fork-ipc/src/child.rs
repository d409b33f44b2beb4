//! A child process, made in two ways: `fork` alone, and `fork` + `exec`.

use std::{
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    panic::{self, AssertUnwindSafe},
    process::{ChildStderr, ChildStdout, Command},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    libc,
    sys::{
        signal::{Signal, kill},
        wait::WaitPidFlag,
    },
    unistd::{ForkResult, Pid, fork, getpid, getppid},
};

use crate::ExitStatus;

/// A child process: something to kill, and to wait for.
///
/// Dropping it does neither. A child that ends and is never waited for stays in the process table
/// as a zombie until its parent ends (wait(2)).
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    exit_status: Option<ExitStatus>,
    /// What the child prints, where its command was given `Stdio::piped()`.
    pub stdout: Option<ChildStdout>,
    /// What the child complains of, where its command was given `Stdio::piped()`.
    pub stderr: Option<ChildStderr>,
}

impl Child {
    /// Node's way, `child_process.fork()`: fork + exec, with the channel's number in the child's
    /// environment. Returns once exec has succeeded. The stream is the parent's end, and blocks.
    ///
    /// The child gets its standard streams, as `command` says, and its end of the channel: nothing
    /// else, whatever this process holds. When this process ends, the kernel kills the child
    /// (Linux; elsewhere the child has to watch its channel).
    ///
    /// # Errors
    /// Those of socketpair(2), fork(2) and execve(2): `NotFound` where there is no such program,
    /// `WouldBlock` (`EAGAIN`) where the system allows no further process.
    pub fn spawn(mut command: Command) -> io::Result<(Child, UnixStream)> {
        // socketpair(2): our end of the channel, and the child's.
        let (ours, theirs) = UnixStream::pair()?;
        let number = theirs.as_raw_fd();
        let parent = getpid();
        command.env("NODE_CHANNEL_FD", number.to_string());
        command.env("NODE_CHANNEL_SERIALIZATION_MODE", "json");
        // SAFETY: between fork and exec only async-signal-safe calls are allowed
        // (signal-safety(7)). These are four system calls; none allocates or takes a lock.
        unsafe { command.pre_exec(move || before_exec(parent, number)) };
        let started = command.spawn()?;
        let pid = Pid::from_raw(started.id() as i32);
        Ok((
            Child {
                pid,
                exit_status: None,
                stdout: started.stdout,
                stderr: started.stderr,
            },
            ours,
        ))
    }

    /// Plain fork(2): the child is a copy of this process, runs `body` with its end of the channel
    /// and exits with what that returns, or with 101 if it panics. It holds the standard streams
    /// and the channel, and no other descriptor.
    ///
    /// The child leaves by _exit(2): no destructor of the parent's runs there, and nothing that the
    /// parent had buffered is printed twice.
    ///
    /// # Safety
    /// - This process has one thread. Only the caller's thread exists in the child; a lock that
    ///   another one held is locked there for ever, the allocator's included (fork(2)).
    /// - `body` owns no descriptor: they are closed in the child before it runs.
    ///
    /// # Errors
    /// Those of socketpair(2) and fork(2).
    pub unsafe fn fork(
        body: impl FnOnce(UnixStream) -> i32,
    ) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let parent = getpid();
        // SAFETY: one thread, as the caller promises, so the child may go on like any program.
        match unsafe { fork() }? {
            ForkResult::Parent { child: pid } => Ok((
                Child { pid, exit_status: None, stdout: None, stderr: None },
                ours,
            )),
            ForkResult::Child => {
                // The copy of the parent's end goes first. Held here, it would keep the channel open:
                // the child could never see its parent close it.
                drop(ours);
                close_all_but(theirs.as_raw_fd());
                let body =
                    AssertUnwindSafe(|| die_with(parent).map(|()| body(theirs)));
                let code = match panic::catch_unwind(body) {
                    Ok(code) => code.unwrap_or(1),
                    Err(_) => 101,
                };
                // SAFETY: _exit ends the process, and with it all that could observe it.
                unsafe { libc::_exit(code) }
            }
        }
    }

    /// The process id. After the child was waited for, the system may give it to another process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Blocks until the child has ended, and tells how.
    ///
    /// # Errors
    /// `ECHILD`, where someone else has waited for it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(ended) = self.waitpid(WaitPidFlag::empty())? {
                return Ok(ended);
            }
        }
    }

    /// How the child has ended; `None` while it runs. Does not block.
    ///
    /// # Errors
    /// As [`wait`](Child::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.waitpid(WaitPidFlag::WNOHANG)
    }

    /// Sends it a signal, like Node's `child.kill()`. The child may handle or ignore any but SIGKILL
    /// and SIGSTOP (signal(7)).
    ///
    /// # Errors
    /// `ESRCH` if the child has been waited for: its number may be another's by now. `EPERM` if it
    /// runs as another user.
    pub fn kill(&self, signal: Signal) -> io::Result<()> {
        match self.exit_status {
            Some(_) => Err(Errno::ESRCH.into()),
            None => Ok(kill(self.pid, signal)?),
        }
    }

    /// waitpid(2) for this child alone: with -1 it would also take the children of others in this
    /// process, such as a library's.
    fn waitpid(&mut self, how: WaitPidFlag) -> io::Result<Option<ExitStatus>> {
        while self.exit_status.is_none() {
            let mut status = 0;
            // SAFETY: it writes one number, to `status`. nix's own waitpid knows no real-time signals:
            // it would reap the child and then say EINVAL.
            let pid = unsafe {
                libc::waitpid(self.pid.as_raw(), &raw mut status, how.bits())
            };
            match Errno::result(pid) {
                Ok(0) => return Ok(None),
                Ok(_) if libc::WIFEXITED(status) => {
                    self.exit_status =
                        Some(ExitStatus::Exited(libc::WEXITSTATUS(status)));
                }
                Ok(_) => {
                    self.exit_status =
                        Some(ExitStatus::signaled(libc::WTERMSIG(status)))
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.exit_status)
    }
}

/// What a child does between fork and exec.
fn before_exec(parent: Pid, channel: RawFd) -> io::Result<()> {
    die_with(parent)?;
    close_on_exec();
    // SAFETY: the channel's end is open; the parent holds it until exec has succeeded.
    let channel = unsafe { std::os::fd::BorrowedFd::borrow_raw(channel) };
    fcntl(channel, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// Asks the kernel to kill this process when its parent ends, however that ends. `PR_SET_PDEATHSIG`
/// (prctl(2)) survives exec, so it holds for programs that know nothing of it. Linux only.
fn die_with(parent: Pid) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have ended before the call, and then no signal comes.
    if getppid() != parent {
        return Err(Errno::ESRCH.into());
    }
    Ok(())
}

/// Marks all descriptors but the standard streams close-on-exec: also those that this process was
/// itself started with and does not know of. Needs Linux 5.11; elsewhere it does nothing, and what
/// std has opened is marked already.
fn close_on_exec() {
    #[cfg(target_os = "linux")]
    // SAFETY: the flag only says what exec does; nothing is closed here.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
    }
}

/// Closes every descriptor above the standard streams but `keep`.
fn close_all_but(keep: RawFd) {
    // SAFETY: this process is a copy that ends with `_exit`. No owner of these descriptors will use
    // them here: that is a part of `Child::fork`'s contract.
    #[cfg(target_os = "linux")]
    unsafe {
        let keep = keep as libc::c_uint;
        libc::syscall(libc::SYS_close_range, 3, keep - 1, 0);
        libc::syscall(libc::SYS_close_range, keep + 1, libc::c_uint::MAX, 0);
    }
    #[cfg(not(target_os = "linux"))]
    {
        // SAFETY: it only asks for a number.
        let limit = unsafe { libc::getdtablesize() };
        for fd in (3..limit).filter(|&fd| fd != keep) {
            // SAFETY: as above; where nothing is open, close(2) fails and nothing happens.
            unsafe { libc::close(fd) };
        }
    }
}
