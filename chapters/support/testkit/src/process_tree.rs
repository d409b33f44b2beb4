//! A program and all its descendants, orphans included.

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgrp};
use procfs::process::Stat;

use crate::capture::Capture;
use crate::eventually::clean_up_eventually;
use crate::lock::lock;
use crate::processes::{Process, Table};

/// How long the kernel may take to end a process that was sent SIGKILL.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// After so many looks, a tree that is still alive forks faster than it can be
/// killed.
const QUICK_LOOKS: u32 = 3;

/// The name of an environment variable that marks one tree. Children inherit it,
/// and `/proc/PID/environ` shows it as it was at exec: it finds orphans that have
/// left the process group.
pub(crate) fn new_marker() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Two test processes may have the same pid, one after the other.
    let pid = std::process::id();
    let start_time = Process::of(pid as i32).map_or(0, |it| it.start_time);
    format!("TESTKIT_TREE_{pid}_{start_time}_{count}")
}

pub(crate) struct ProcessTree {
    /// The process that we started: our child, and the leader of its process group.
    pub leader: Process,
    /// What the tree prints on standard output.
    pub stdout: Arc<Capture>,
    /// What the tree prints on standard error.
    pub stderr: Arc<Capture>,
    marker: String,
    /// All members ever seen: a process that has lost its parent, its group and the
    /// marker is still known.
    known: Mutex<HashSet<Process>>,
    /// Why the tree was killed before its end, if it was.
    kill_reason: OnceLock<String>,
}

impl ProcessTree {
    pub fn new(leader: Process, marker: String, output: [Arc<Capture>; 2]) -> Self {
        let [stdout, stderr] = output;
        let known = Mutex::new(HashSet::from([leader]));
        let kill_reason = OnceLock::new();
        ProcessTree { leader, stdout, stderr, marker, known, kill_reason }
    }

    /// Kills the tree, and keeps the reason for the message of the test that fails.
    pub fn kill_because(&self, reason: String) {
        let _ = self.kill_reason.set(reason);
        self.kill();
    }

    /// Why the tree was killed before its end, if it was.
    pub fn kill_reason(&self) -> Option<&str> {
        self.kill_reason.get().map(String::as_str)
    }

    /// All living members, oldest first.
    pub fn living(&self) -> Vec<Process> {
        self.living_in(&Table::read())
    }

    /// As [`living`](ProcessTree::living), at the moment of the table.
    pub fn living_in(&self, table: &Table) -> Vec<Process> {
        // Until the leader is reaped, its pid is not given to another process or
        // group.
        let is_ours = self.leader.exists();
        let mut known = lock(&self.known);
        let is_member = |stat: &&Stat| {
            // No member is older than the leader: most processes need no further
            // look.
            stat.starttime >= self.leader.start_time
                && (known.contains(&Process::from(*stat))
                    || (is_ours && stat.pgrp == self.leader.pid)
                    || self.has_marker(stat.pid))
        };
        let members = table.living().filter(is_member).map(|it| it.pid).collect();
        let living = table.with_descendants(members);
        known.extend(&living);
        living
    }

    /// Sends SIGKILL to all members until none is left: a process that forks during
    /// a look has a child which that look misses. Returns the members that are
    /// left.
    pub fn kill(&self) -> Vec<Process> {
        let mut left = Vec::new();
        let mut looks = 0;
        clean_up_eventually(KILL_LIMIT, || {
            self.kill_group();
            looks += 1;
            if looks > QUICK_LOOKS {
                self.stop();
            }
            left = self.living();
            for process in &left {
                process.signal(Signal::SIGKILL);
            }
            left.is_empty().then_some(())
        });
        left
    }

    /// Sends SIGSTOP to all members until there is no new one: a stopped process
    /// cannot fork. So it catches a tree that forks faster than its members can be
    /// killed.
    fn stop(&self) {
        let mut stopped = HashSet::new();
        loop {
            let mut new = self.living();
            new.retain(|it| !stopped.contains(it));
            if new.is_empty() {
                return;
            }
            for process in &new {
                process.signal(Signal::SIGSTOP);
            }
            stopped.extend(new);
        }
    }

    /// Kills the whole group with one call, so that no master replaces a worker
    /// meanwhile.
    fn kill_group(&self) {
        let group = Pid::from_raw(self.leader.pid);
        if self.leader.exists() && self.leader.pid > 1 && group != getpgrp() {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }

    /// Whether it was started with our marker in its environment.
    ///
    /// Not procfs's `environ`: it makes a map of the environment, and this looks
    /// into many.
    fn has_marker(&self, pid: i32) -> bool {
        let environment =
            fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let variable = format!("{}=", self.marker);
        environment
            .split(|byte| *byte == 0)
            .any(|it| it.starts_with(variable.as_bytes()))
    }
}
