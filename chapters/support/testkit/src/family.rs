//! A program and all that came of it, orphans included.

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgrp};

use crate::capture::Capture;
use crate::lock;
use crate::processes::{Process, Stat, closure, living, sorted};
use crate::wait::try_eventually;

/// How long the kernel may take to end a process that got SIGKILL.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// A name for an environment variable that no other family has. Children inherit it, and
/// `/proc/PID/environ` shows it for ever: so an orphan in a session of its own is found too.
pub(crate) fn new_mark() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // The start time keeps apart two test processes that had the same number, one after the other.
    let pid = std::process::id();
    let born = Process::of(pid as i32).map_or(0, |me| me.start_time);
    format!("TESTKIT_FAMILY_{pid}_{born}_{count}")
}

pub(crate) struct Family {
    /// The process that we started: our child, and the leader of its group.
    pub leader: Process,
    mark: String,
    /// Whoever was ever seen in it: one that drops the mark *and* leaves the tree is known yet.
    known: Mutex<HashSet<Process>>,
    /// What it prints: standard output and standard error.
    pub printed: [Arc<Capture>; 2],
    /// Why it was ended from outside, if it was.
    verdict: OnceLock<String>,
}

impl Family {
    pub fn new(leader: Process, mark: String, printed: [Arc<Capture>; 2]) -> Self {
        let known = Mutex::new(HashSet::from([leader]));
        Family { leader, mark, known, printed, verdict: OnceLock::new() }
    }

    /// Ends all of it, and keeps the reason.
    pub fn end(&self, why: String) {
        let _ = self.verdict.set(why);
        self.kill();
    }

    /// Why it was ended from outside, if it was.
    pub fn verdict(&self) -> Option<&str> {
        self.verdict.get().map(String::as_str)
    }

    /// Whether it has printed more than is kept.
    pub fn has_flooded(&self) -> bool {
        self.printed.iter().any(|capture| capture.has_flooded())
    }

    /// Every living member, oldest first.
    pub fn living(&self) -> Vec<Process> {
        let table = living();
        // Until the leader is reaped nobody else can have its number, be it as pid or as group.
        let held = self.leader.exists();
        let mut known = lock(&self.known);
        let is_member = |stat: &Stat| {
            known.contains(&stat.process())
                || (held && stat.pgrp == self.leader.pid)
                || self.marked(stat.pid)
        };
        let members =
            table.iter().filter(|s| is_member(s)).map(|s| s.pid).collect();
        let pids = closure(&table, members);
        let found =
            table.iter().filter(|s| pids.contains(&s.pid)).map(Stat::process);
        let found = sorted(found.collect());
        known.extend(&found);
        found
    }

    /// SIGKILL for everyone, again and again until nobody is left: a process that forks while
    /// it is being looked for has a child that the first round missed. Returns who is left.
    pub fn kill(&self) -> Vec<Process> {
        let mut left = Vec::new();
        self.stop();
        try_eventually(KILL_LIMIT, || {
            self.kill_group();
            left = self.living();
            for process in &left {
                process.signal(Signal::SIGKILL);
            }
            left.is_empty().then_some(())
        });
        left
    }

    /// SIGSTOP for everyone, until there is nobody new: who is stopped cannot fork. A family that
    /// makes processes faster than they can be killed one by one is so caught all the same.
    fn stop(&self) {
        let mut stopped = HashSet::new();
        loop {
            let new: Vec<Process> = self
                .living()
                .into_iter()
                .filter(|it| !stopped.contains(it))
                .collect();
            if new.is_empty() {
                return;
            }
            for process in &new {
                process.signal(Signal::SIGSTOP);
            }
            stopped.extend(new);
        }
    }

    /// Reaches the whole group at once, so that no master can replace a worker meanwhile.
    fn kill_group(&self) {
        let group = Pid::from_raw(self.leader.pid);
        if self.leader.exists() && self.leader.pid > 1 && group != getpgrp() {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }

    /// Before exec a child of ours still has our own environment; but then its start has not
    /// returned yet. The mark ends in a number, so look for the `=` as well.
    fn marked(&self, pid: i32) -> bool {
        let environment =
            fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|b| *b == 0).any(|variable| {
            variable
                .strip_prefix(self.mark.as_bytes())
                .is_some_and(|rest| rest.starts_with(b"="))
        })
    }
}
