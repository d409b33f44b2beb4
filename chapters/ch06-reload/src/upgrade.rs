// ANCHOR: top
//! A new program takes over the listener: SIGUSR2, and the start by systemd.
//!
//! The protocol is systemd's (sd_listen_fds(3)): the listeners are the descriptors
//! from 3 on, `LISTEN_FDS` is how many there are, and `LISTEN_PID` is the process that
//! they are for. A process that inherits the two variables by accident has another
//! process id, and leaves the descriptors alone.

use std::{
    env,
    ffi::{CString, OsString},
    net::TcpListener,
    os::{
        fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd},
        unix::ffi::OsStringExt,
    },
    path::Path,
    process::{Command, id},
};

use anyhow::{Context as _, anyhow};
use ch01_fork_ipc::inherited_channel;
use ch02_balance::{Received, poll_tokens};
use ch03_handles::{Handle, HandleChannel};
use listenfd::ListenFd;
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    libc,
    poll::PollFd,
    sys::socket::{getsockopt, sockopt::AcceptConn},
    unistd::execv,
};
// ANCHOR_END: top

// ANCHOR: first_fd
/// The first descriptor that is passed by systemd's protocol.
const FIRST_FD: RawFd = 3;

/// The name, in `LISTEN_FDNAMES`, of a listener that the service manager has, too.
const SHARED: &str = "shared";

/// The name of any other listener.
const OWN: &str = "own";
// ANCHOR_END: first_fd

// ANCHOR: inherited
/// The listener of a master, and where it comes from.
pub struct Inherited {
    /// Where clients connect.
    pub listener: TcpListener,
    /// The service manager has it, too. It stays open when this process exits, and
    /// what waits in its backlog is for the next one.
    pub is_shared: bool,
    /// The master from which this one takes over.
    pub old_master: Option<HandleChannel>,
}

impl Inherited {
    /// What this process was started with. `None`: it must listen itself.
    ///
    /// # Safety
    /// As for [`inherited_channel`]: this process has one thread and has opened no
    /// descriptor yet.
    ///
    /// # Errors
    /// If there is more than one listener, or it is none for TCP, or does not listen.
    pub unsafe fn take() -> anyhow::Result<Option<Inherited>> {
        let mut inherited = ListenFd::from_env();
        if inherited.len() > 1 {
            return Err(anyhow!(
                "cannot use {} listeners, only one",
                inherited.len()
            ));
        }
        let Some(listener) = inherited
            .take_tcp_listener(0)
            .context("cannot use the listener of LISTEN_FDS (descriptor 3)")?
        else {
            return Ok(None);
        };
        // With `Accept=yes`, systemd passes a connection.
        if !getsockopt(&listener, AcceptConn)? {
            return Err(anyhow!("descriptor 3 (LISTEN_FDS) does not listen"));
        }
        // SAFETY: as the caller promises.
        let old_master = unsafe { inherited_channel() }.ok();
        let old_master = old_master.map(HandleChannel::new).transpose();
        let old_master = old_master.context("cannot use the channel")?;
        let names = env::var("LISTEN_FDNAMES");
        let is_shared = old_master.is_none() || names.as_deref() == Ok(SHARED);
        Ok(Some(Inherited { listener, is_shared, old_master }))
    }
}
// ANCHOR_END: inherited

// ANCHOR: command
/// The command of a process that executes `program` with `arguments`, and passes it
/// the listener that it is sent first. It is this very program, as `take-over`.
pub fn take_over_command(program: &Path, arguments: &[OsString]) -> Command {
    let mut command = this_program(program);
    command.arg("take-over").arg(program).args(arguments);
    command
}

/// The command that starts this program once more: the one that runs, whatever its
/// file contains by now. Elsewhere than on Linux it is the file.
pub fn this_program(file: &Path) -> Command {
    if cfg!(target_os = "linux") {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new("/proc/self/exe");
        command.arg0(file);
        return command;
    }
    Command::new(file)
}
// ANCHOR_END: command

// ANCHOR: take_over
/// The process of [`take_over_command`]: receives the listener, puts it where systemd
/// would, and executes the program in its own place. Returns only if that fails.
///
/// The new program keeps the channel. When it is ready it sends `{"act":"ready"}`.
///
/// # Errors
/// If the parent closes the channel, or the program cannot be executed.
pub fn take_over(
    mut channel: HandleChannel,
    program: OsString,
    arguments: Vec<OsString>,
) -> anyhow::Error {
    let failed = |error: anyhow::Error| {
        error.context(format!("cannot start {}", program.to_string_lossy()))
    };
    let passed = receive_listener(&mut channel)
        .and_then(|(listener, is_shared)| pass_on(listener, is_shared, &channel));
    if let Err(error) = passed {
        return failed(error);
    }
    let words = [program.clone()].into_iter().chain(arguments);
    let words: Result<Vec<CString>, _> =
        words.map(|word| CString::new(word.into_vec())).collect();
    let Ok(words) = words else { return failed(anyhow!("a word contains NUL")) };
    let Err(error) = execv(&words[0], &words);
    failed(anyhow!("{}", error.desc()))
}
// ANCHOR_END: take_over

// ANCHOR: receive_listener
fn receive_listener(
    channel: &mut HandleChannel,
) -> anyhow::Result<(TcpListener, bool)> {
    loop {
        let polled = PollFd::new(channel.as_fd(), channel.interest());
        poll_tokens(vec![((), polled)], None).context("cannot wait")?;
        for received in channel.receive() {
            match received {
                Received::Handle(message, Handle::TcpListener(listener)) => {
                    return Ok((listener, message["shared"] == true));
                }
                Received::Closed(_) => {
                    return Err(anyhow!("the parent has closed the channel"));
                }
                _ => {}
            }
        }
    }
}
// ANCHOR_END: receive_listener

// ANCHOR: pass_on
/// Makes the listener descriptor 3, keeps the channel open, and says both in the
/// environment.
fn pass_on(
    listener: TcpListener,
    is_shared: bool,
    channel: &HandleChannel,
) -> anyhow::Result<()> {
    // The channel first: it may be descriptor 3.
    let above = FcntlArg::F_DUPFD(FIRST_FD + 1);
    let channel =
        fcntl(channel.as_fd(), above).context("cannot keep the channel")?;
    if listener.as_raw_fd() == FIRST_FD {
        fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let _ = OwnedFd::from(listener).into_raw_fd();
    } else {
        // SAFETY: dup2 closes what descriptor 3 was. Only the channel's first
        // descriptor can be that, and it is not used any more.
        let copied = unsafe { libc::dup2(listener.as_raw_fd(), FIRST_FD) };
        nix::errno::Errno::result(copied).context("cannot move the listener")?;
    }
    // SAFETY: this process has one thread.
    unsafe {
        env::set_var("LISTEN_FDS", "1");
        env::set_var("LISTEN_PID", id().to_string());
        env::set_var("LISTEN_FDNAMES", if is_shared { SHARED } else { OWN });
        env::set_var("NODE_CHANNEL_FD", channel.to_string());
        env::set_var("NODE_CHANNEL_SERIALIZATION_MODE", "json");
        // The service manager's, which named the old master (sd_watchdog_enabled(3)).
        if env::var_os("WATCHDOG_PID").is_some() {
            env::set_var("WATCHDOG_PID", id().to_string());
        }
    }
    Ok(())
}
// ANCHOR_END: pass_on
