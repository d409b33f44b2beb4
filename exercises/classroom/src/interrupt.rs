//! Ctrl-C while submissions are built or run: nothing of them is left.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use ch04_events::SignalPipe;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use testkit::{Signal, descendants_of};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on, SIGINT and SIGTERM end this process as before, but first they kill its
/// descendants and remove `folder`. The builds of a class are a gigabyte.
pub fn remove_at_interrupt(folder: PathBuf) -> anyhow::Result<()> {
    let signals = SignalPipe::new(&[Signal::SIGINT, Signal::SIGTERM]);
    let mut signals = signals.context("cannot handle signals")?;
    thread::spawn(move || {
        loop {
            let arrived = PollFd::new(signals.as_fd(), PollFlags::POLLIN);
            let _ = poll(&mut [arrived], PollTimeout::NONE);
            if let Some(signal) = signals.take().first() {
                INTERRUPTED.store(true, Ordering::SeqCst);
                remove(&folder);
                // As a shell reports a program that a signal has ended.
                exit(128 + *signal as i32);
            }
        }
    });
    Ok(())
}

/// Blocks if a signal has arrived: this process is about to exit. So the main thread does not
/// report that the programs have failed which were killed.
pub fn exit_if_interrupted() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        thread::park();
    }
}

/// The main thread may start a further program meanwhile, and a compiler that was not killed
/// yet may write a further file: so both are looked for again, a few times.
fn remove(folder: &Path) {
    let pid = std::process::id() as i32;
    for _ in 0..10 {
        let descendants = descendants_of(pid);
        for process in &descendants {
            process.signal(Signal::SIGKILL);
        }
        let _ = fs::remove_dir_all(folder);
        if descendants.is_empty() && !folder.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}
