// ANCHOR: imports
//! A child process, made in two ways: by fork alone, and by fork + exec.

use std::{
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, RawFd},
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
// ANCHOR_END: imports

// ANCHOR: child
/// A child process, to be killed and to be waited for.
///
/// To drop it does neither. A child that has exited and is not waited for stays in
/// the process table as a zombie until its parent exits (wait(2)).
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    /// What waitpid(2) reported. It reports it once.
    exit_status: Option<ExitStatus>,
    /// The child's standard output, if its command asked for `Stdio::piped()`.
    pub stdout: Option<ChildStdout>,
    /// The child's standard error, if its command asked for `Stdio::piped()`.
    pub stderr: Option<ChildStderr>,
}
// ANCHOR_END: child

impl Child {
    // ANCHOR: fork
    /// fork(2) alone: the child is a copy of this process. It runs `body` with its
    /// end of a channel, and exits with the code that `body` returns, or with 101
    /// if `body` panics. Returns the parent's end, which blocks.
    ///
    /// The child has the standard streams and its end of the channel, and no other
    /// descriptor. It calls `_exit(2)`: no destructor of the parent's values runs,
    /// and no text that the parent has buffered is printed a second time.
    ///
    /// The kernel kills the child when this process exits (Linux only).
    ///
    /// # Safety
    /// - This process has one thread. fork copies only the thread that calls it: a
    ///   lock that another thread holds, such as the allocator's, stays locked in
    ///   the child.
    /// - `body` owns no descriptor: the child closes them before it runs `body`.
    ///
    /// # Errors
    /// Those of socketpair(2) and fork(2).
    pub unsafe fn fork(
        body: impl FnOnce(UnixStream) -> i32,
    ) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let parent = getpid();
        // SAFETY: one thread, as the caller promises: the child may do anything.
        if let ForkResult::Parent { child } = unsafe { fork() }? {
            return Ok((Child::new(child), ours));
        }
        // This is the child. If it kept its copy of the parent's end, it would
        // never see its parent close the channel.
        drop(ours);
        close_all_but(theirs.as_raw_fd());
        let run = || die_with_parent(parent).map_or(1, |()| body(theirs));
        let code = panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or(101);
        // SAFETY: no code of this process runs after `_exit`.
        unsafe { libc::_exit(code) }
    }
    // ANCHOR_END: fork

    // ANCHOR: spawn
    /// fork(2) and execve(2), like Node's `child_process.fork()`. The child finds
    /// the number of its end of a channel in its environment. Returns the parent's
    /// end, which blocks, once exec has succeeded.
    ///
    /// The child has its standard streams, as `command` sets them, and its end of
    /// the channel. It inherits no other descriptor, whatever this process holds.
    ///
    /// The kernel kills the child when the *thread* that calls this exits, or the
    /// whole process (prctl(2), `PR_SET_PDEATHSIG`; Linux only). So call it from a
    /// thread that lasts, such as the main thread.
    ///
    /// # Errors
    /// Those of socketpair(2), fork(2) and execve(2). `NotFound`: there is no such
    /// program. `WouldBlock` (`EAGAIN`): the system allows no further process.
    pub fn spawn(mut command: Command) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let number = theirs.as_raw_fd();
        let parent = getpid();
        command.env("NODE_CHANNEL_FD", number.to_string());
        command.env("NODE_CHANNEL_SERIALIZATION_MODE", "json");
        // SAFETY: between fork and exec, only async-signal-safe functions may be
        // called (signal-safety(7)). `before_exec` makes four system calls; it does
        // not allocate memory or take a lock.
        unsafe { command.pre_exec(move || before_exec(parent, number)) };
        let spawned = command.spawn()?;
        let mut child = Child::new(Pid::from_raw(spawned.id() as i32));
        child.stdout = spawned.stdout;
        child.stderr = spawned.stderr;
        Ok((child, ours))
    }
    // ANCHOR_END: spawn

    // ANCHOR: new
    fn new(pid: Pid) -> Child {
        Child { pid, exit_status: None, stdout: None, stderr: None }
    }

    /// The process id. Once the child is waited for, the system may give the number
    /// to another process.
    pub fn pid(&self) -> Pid {
        self.pid
    }
    // ANCHOR_END: new

    // ANCHOR: wait
    /// Blocks until the child exits, and reaps it. Later calls return the status
    /// again.
    ///
    /// # Errors
    /// `ECHILD`: other code in this process has reaped it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.waitpid(WaitPidFlag::empty())?;
        Ok(status.expect("without WNOHANG, waitpid(2) returns after the exit only"))
    }

    /// As [`wait`](Child::wait), but does not block: `None` while the child runs.
    ///
    /// # Errors
    /// As [`wait`](Child::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.waitpid(WaitPidFlag::WNOHANG)
    }
    // ANCHOR_END: wait

    // ANCHOR: kill
    /// Sends a signal, like Node's `child.kill()`. The child may handle or ignore
    /// each signal but SIGKILL and SIGSTOP (signal(7)).
    ///
    /// # Errors
    /// `ESRCH`: the child is reaped, and its number may be another process's by
    /// now. `EPERM`: the child runs as another user.
    pub fn kill(&self, signal: Signal) -> io::Result<()> {
        match self.exit_status {
            Some(_) => Err(Errno::ESRCH.into()),
            None => Ok(kill(self.pid, signal)?),
        }
    }
    // ANCHOR_END: kill

    // ANCHOR: waitpid
    /// waitpid(2) for this child only. With -1 in place of the number it would also
    /// reap children that other code in this process has started, and waits for.
    fn waitpid(&mut self, flags: WaitPidFlag) -> io::Result<Option<ExitStatus>> {
        while self.exit_status.is_none() {
            let mut status = 0;
            // SAFETY: it writes one number, to `status`. nix's waitpid would reap a
            // child that a real-time signal killed, and then return EINVAL.
            let pid = unsafe {
                libc::waitpid(self.pid.as_raw(), &raw mut status, flags.bits())
            };
            match Errno::result(pid) {
                Ok(0) => return Ok(None),
                Ok(_) => self.exit_status = Some(ExitStatus::from_wait(status)),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.exit_status)
    }
    // ANCHOR_END: waitpid
}

// ANCHOR: die_with_parent
/// Asks the kernel to kill this process when its parent exits or is killed (Linux).
/// The request survives exec, so it holds for programs that do not know of it.
fn die_with_parent(parent: Pid) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // If the parent exited before that call, no signal comes.
    if getppid() != parent {
        return Err(Errno::ESRCH.into());
    }
    Ok(())
}
// ANCHOR_END: die_with_parent

// ANCHOR: close_all_but
/// Closes every descriptor above the standard streams but `keep`, in a forked
/// child. Needs Linux 5.9. Elsewhere it closes them one by one.
fn close_all_but(keep: RawFd) {
    #[cfg(target_os = "linux")]
    {
        close_range(3, keep as libc::c_uint - 1, 0);
        close_range(keep as libc::c_uint + 1, libc::c_uint::MAX, 0);
    }
    #[cfg(not(target_os = "linux"))]
    // SAFETY: getdtablesize only returns a number. Nothing in this child uses the
    // descriptors that close(2) closes: that is in the contract of `Child::fork`.
    unsafe {
        for fd in (3..libc::getdtablesize()).filter(|&fd| fd != keep) {
            libc::close(fd);
        }
    }
}
// ANCHOR_END: close_all_but

// ANCHOR: before_exec
/// What a child does between fork and exec.
fn before_exec(parent: Pid, channel: RawFd) -> io::Result<()> {
    die_with_parent(parent)?;
    close_all_on_exec();
    // SAFETY: it is open, because the parent held it at the time of fork.
    let channel = unsafe { BorrowedFd::borrow_raw(channel) };
    fcntl(channel, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}
// ANCHOR_END: before_exec

// ANCHOR: close_all_on_exec
/// Marks every descriptor above the standard streams close-on-exec. std marks what
/// it opens; but this process may have inherited descriptors that it does not know
/// of. Needs Linux 5.11. Does nothing elsewhere.
fn close_all_on_exec() {
    #[cfg(target_os = "linux")]
    close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
}
// ANCHOR_END: close_all_on_exec

// ANCHOR: close_range
/// close_range(2): closes or marks all descriptors from `first` to `last`. Does
/// nothing on an older kernel, or if `first` is above `last`.
#[cfg(target_os = "linux")]
fn close_range(first: libc::c_uint, last: libc::c_uint, flags: libc::c_uint) {
    // SAFETY: called only in a new child: `close_all_on_exec` closes nothing before
    // exec, and nothing uses what `close_all_but` closes.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
}
// ANCHOR_END: close_range
