//! What `/proc` (Linux) tells about processes; see `proc_pid_stat(5)`.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// One process, not just its number: a number is given to another process later on, but the
/// start time then differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    /// The process id.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub start_time: u64,
}

impl Process {
    /// The process that has this number now, a zombie included; `None` when there is none.
    pub fn of(pid: i32) -> Option<Process> {
        Stat::of(pid).map(|stat| stat.process())
    }

    /// Whether this very process is there and is not a zombie.
    pub fn alive(&self) -> bool {
        self.stat().is_some_and(|stat| stat.alive())
    }

    /// Whether this very process is there, be it as a zombie.
    pub fn exists(&self) -> bool {
        self.stat().is_some()
    }

    /// Sends it a signal; `false` when it is not there any more.
    ///
    /// # Panics
    /// When told to signal process 1 or less, which would reach far more than one process.
    pub fn signal(&self, signal: Signal) -> bool {
        assert!(self.pid > 1, "refusing to signal process {}", self.pid);
        self.alive() && kill(Pid::from_raw(self.pid), signal).is_ok()
    }

    /// Its program and arguments, for messages; empty for a zombie.
    pub fn command_line(&self) -> String {
        let bytes =
            fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
    }

    fn stat(&self) -> Option<Stat> {
        Stat::of(self.pid).filter(|stat| stat.start_time == self.start_time)
    }
}

/// Whether a process with this number exists and is no zombie. Prefer [`Process::alive`] where
/// the number may have been given to another process meanwhile.
pub fn alive(pid: i32) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.alive())
}

/// The living children of `pid`, oldest first.
pub fn children_of(pid: i32) -> Vec<Process> {
    sorted(living().iter().filter(|s| s.ppid == pid).map(Stat::process).collect())
}

/// The living children of `pid`, their children, and so on, oldest first.
pub fn descendants_of(pid: i32) -> Vec<Process> {
    let table = living();
    let pids = closure(&table, HashSet::from([pid]));
    let below = table.iter().filter(|s| s.pid != pid && pids.contains(&s.pid));
    sorted(below.map(Stat::process).collect())
}

/// The children of `pid` that have ended and that it has not reaped.
pub fn zombies_of(pid: i32) -> Vec<Process> {
    let zombies = table().into_iter().filter(|s| s.ppid == pid && s.state == 'Z');
    sorted(zombies.map(|s| s.process()).collect())
}

/// The open descriptors of `pid` and what each refers to (`socket:[123]`, `/dev/null`), by
/// number. Empty when the process is gone or is not ours to look into.
pub fn fds(pid: i32) -> Vec<(i32, String)> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    let mut found: Vec<(i32, String)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            // It may have been closed since the directory was read: then it is not open.
            let target = fs::read_link(entry.path()).ok()?;
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, target.to_string_lossy().into_owned()))
        })
        .collect();
    found.sort();
    found
}

/// How many threads `pid` has; 0 when it is gone.
pub fn threads(pid: i32) -> usize {
    Stat::of(pid).map_or(0, |stat| stat.threads)
}

/// The CPU time that `pid` has used so far, in user and in kernel mode, in steps of one clock
/// tick (10 ms as a rule). Zero when it is gone.
pub fn cpu_time(pid: i32) -> Duration {
    // SAFETY: sysconf(3) takes a number, returns a number and touches no memory of ours.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let ticks = Stat::of(pid).map_or(0, |stat| stat.ticks);
    Duration::from_secs(ticks) / u32::try_from(per_second).unwrap_or(100).max(1)
}

/// The line of `/proc/PID/stat`, as far as the kit needs it.
pub(crate) struct Stat {
    pub pid: i32,
    pub state: char,
    pub ppid: i32,
    pub pgrp: i32,
    pub ticks: u64,
    pub threads: usize,
    pub start_time: u64,
}

impl Stat {
    pub fn of(pid: i32) -> Option<Stat> {
        Stat::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in parentheses, and the name may itself contain
    /// spaces and parentheses: so count from behind the last one. There stands field 3.
    fn parse(pid: i32, line: &str) -> Option<Stat> {
        let fields: Vec<&str> =
            line[line.rfind(')')? + 1..].split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Stat {
            pid,
            state: fields.first()?.chars().next()?,
            ppid: number(4)? as i32,
            pgrp: number(5)? as i32,
            ticks: number(14)? + number(15)?,
            threads: number(20)? as usize,
            start_time: number(22)?,
        })
    }

    pub fn alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }

    pub fn process(&self) -> Process {
        Process { pid: self.pid, start_time: self.start_time }
    }
}

/// Every living process that can be seen.
pub(crate) fn living() -> Vec<Stat> {
    table().into_iter().filter(Stat::alive).collect()
}

/// Adds to `pids` the children of each, until there is none to add.
pub(crate) fn closure(table: &[Stat], mut pids: HashSet<i32>) -> HashSet<i32> {
    loop {
        let before = pids.len();
        for stat in table {
            if pids.contains(&stat.ppid) {
                pids.insert(stat.pid);
            }
        }
        if pids.len() == before {
            return pids;
        }
    }
}

/// Oldest first, so that a list reads in the order in which the processes were made.
pub(crate) fn sorted(mut processes: Vec<Process>) -> Vec<Process> {
    processes.sort_by_key(|p| (p.start_time, p.pid));
    processes
}

fn table() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").expect("/proc is needed to find processes");
    let pids =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(Stat::of).collect()
}
