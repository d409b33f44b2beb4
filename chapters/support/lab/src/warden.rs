//! The process that ends the program, however the lab ends.
//!
//! The warden is the parent of strace, and a subreaper (prctl(2)): a process of the
//! program whose parent exits becomes a child of the warden. So all of them are its
//! descendants, as long as it lives. It kills them when the lab has exited or was killed,
//! which closes the other end of a pipe, and when strace exits.

use std::{
    ffi::OsString,
    fs,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

use anyhow::Context;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    libc,
    sys::{
        prctl,
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, read},
};

/// Time between two rounds of kills.
const ROUND: Duration = Duration::from_millis(20);

/// Runs `command`, which is strace and the program, until nothing of it is left. Kills
/// it at the end of the stream `lifeline`. At last removes `files`, the directory with
/// strace's FIFO.
///
/// # Errors
/// The command cannot be started.
pub fn run(
    lifeline: OwnedFd,
    files: &Path,
    command: &[OsString],
) -> anyhow::Result<ExitCode> {
    let code = run_to_the_end(lifeline, command);
    // The lab has perhaps removed it already.
    let _ = fs::remove_dir_all(files);
    code
}

fn run_to_the_end(
    lifeline: OwnedFd,
    command: &[OsString],
) -> anyhow::Result<ExitCode> {
    become_subreaper()?;
    survive_hangup()?;
    let flags = FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC);
    fcntl(&lifeline, flags).context("the warden needs a lifeline")?;
    let [program, arguments @ ..] = command else {
        anyhow::bail!("the warden needs a command");
    };
    let mut command = Command::new(program);
    command.args(arguments);
    let before_exec = || Ok(prctl::set_pdeathsig(Signal::SIGKILL)?);
    // SAFETY: prctl(2) is async-signal-safe.
    unsafe { command.pre_exec(before_exec) };
    let strace = command.spawn().context("cannot start strace")?;
    let strace = Pid::from_raw(strace.id() as libc::pid_t);
    thread::spawn(move || {
        // Nothing is ever written to it.
        let _ = read(&lifeline, &mut [0]);
        kill_descendants();
    });
    let mut code = ExitCode::SUCCESS;
    loop {
        match waitpid(None, Some(WaitPidFlag::empty())) {
            Ok(status) if status.pid() == Some(strace) => {
                if let WaitStatus::Exited(_, number) = status {
                    code = ExitCode::from(number as u8);
                }
                // What strace has left behind is traced no more.
                thread::spawn(kill_descendants);
            }
            Err(Errno::ECHILD) => return Ok(code),
            _ => {}
        }
    }
}

/// If the lab is killed while a process is stopped, the kernel sends SIGHUP to this group,
/// which is orphaned then (setpgid(2)). That must not end the warden. execve(2) takes the
/// handler away, so the program does not notice.
fn survive_hangup() -> anyhow::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler = SigHandler::Handler(nothing);
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGHUP, &action) }
        .context("cannot handle SIGHUP")?;
    Ok(())
}

/// From now on, a descendant whose parent exits becomes a child of this process.
///
/// # Errors
/// prctl(2); none is expected.
pub fn become_subreaper() -> anyhow::Result<()> {
    prctl::set_child_subreaper(true).context("cannot become a subreaper")
}

/// Kills all descendants of this process again and again. Returns when there is none:
/// another thread must wait for them.
fn kill_descendants() {
    while kill_once() {
        thread::sleep(ROUND);
    }
}

/// The same, and waits for them.
pub fn kill_and_reap() {
    while kill_once() {
        while matches!(
            waitpid(None, Some(WaitPidFlag::WNOHANG)),
            Ok(status) if status != WaitStatus::StillAlive
        ) {}
        thread::sleep(ROUND);
    }
}

/// Kills all descendants. Returns false if there is none.
fn kill_once() -> bool {
    let found = descendants(std::process::id() as libc::pid_t);
    for &pid in &found {
        // It may have exited since.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    !found.is_empty()
}

/// The children of a process, their children, and so on (proc_pid_task_children(5)).
pub fn descendants(of: libc::pid_t) -> Vec<libc::pid_t> {
    let mut found = vec![of];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        found.extend(children(pid));
    }
    found.split_off(1)
}

/// The children of a process.
pub fn children(of: libc::pid_t) -> Vec<libc::pid_t> {
    let tasks = fs::read_dir(format!("/proc/{of}/task"));
    let children = tasks.into_iter().flatten().flatten().flat_map(|task| {
        let children = fs::read_to_string(task.path().join("children"));
        let children = children.unwrap_or_default();
        let pids = children.split_whitespace().flat_map(str::parse::<i32>);
        pids.collect::<Vec<_>>()
    });
    children.collect()
}
