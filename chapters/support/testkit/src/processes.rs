//! Processes, as `/proc` (Linux) shows them; see proc_pid_stat(5).

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::{self, Stat, all_processes};

/// One process. A pid alone is not enough: when its process is gone, another one
/// may get it, but with another start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    /// The process id.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub start_time: u64,
}

impl Process {
    /// The process that has this pid now, even if it is a zombie; `None` if there
    /// is none.
    pub fn of(pid: i32) -> Option<Process> {
        stat(pid).map(|stat| Process::from(&stat))
    }

    /// Whether this process exists and is not a zombie.
    pub fn alive(&self) -> bool {
        self.stat().is_some_and(|stat| is_alive(&stat))
    }

    /// Whether this process exists, even if it is a zombie.
    pub fn exists(&self) -> bool {
        self.stat().is_some()
    }

    /// Sends it a signal; `false` if it is not alive.
    ///
    /// # Panics
    /// If its pid is 1 or less: kill(2) would reach far more than one process.
    pub fn signal(&self, signal: Signal) -> bool {
        assert!(self.pid > 1, "refusing to signal process {}", self.pid);
        self.alive() && kill(Pid::from_raw(self.pid), signal).is_ok()
    }

    /// Whether its first thread is stopped, as after SIGSTOP. kill(2) may return a
    /// moment before.
    pub fn stopped(&self) -> bool {
        self.stat().is_some_and(|stat| stat.state == 'T')
    }

    /// Its program and arguments, for messages; empty for a zombie.
    pub fn command_line(&self) -> String {
        let words = process::Process::new(self.pid).and_then(|it| it.cmdline());
        words.unwrap_or_default().join(" ")
    }

    fn stat(&self) -> Option<Stat> {
        stat(self.pid).filter(|stat| stat.starttime == self.start_time)
    }
}

impl From<&Stat> for Process {
    fn from(stat: &Stat) -> Process {
        Process { pid: stat.pid, start_time: stat.starttime }
    }
}

/// Whether a process with this pid exists and is not a zombie. Prefer
/// [`Process::alive`] if another process may have got the pid in the meantime.
pub fn alive(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| is_alive(&stat))
}

/// The living children of `pid`, oldest first.
pub fn children_of(pid: i32) -> Vec<Process> {
    Table::read().children_of(pid)
}

/// The living children of `pid`, their children, and so on, oldest first.
pub fn descendants_of(pid: i32) -> Vec<Process> {
    Table::read().descendants_of(pid)
}

/// The children of `pid` that have exited and that it has not reaped.
pub fn zombies_of(pid: i32) -> Vec<Process> {
    Table::read().zombies_of(pid)
}

/// The open descriptors of `pid` and what each refers to (`socket:[123]`,
/// `/dev/null`), by number. Empty if the process is gone or belongs to another
/// user.
///
/// This is `/proc`'s own text: procfs parses it, and fails for the kinds that it
/// does not know.
pub fn fds(pid: i32) -> Vec<(i32, String)> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    let open = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        // It may have been closed since the directory was read: then it is not
        // open.
        let target = fs::read_link(entry.path()).ok()?;
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((number, target.to_string_lossy().into_owned()))
    });
    let mut open: Vec<_> = open.collect();
    open.sort();
    open
}

/// Descriptors as [`fds`] finds them, for messages: `3 (socket:[123]), 4 (/dev/null)`.
pub fn fds_in_words(fds: &[(i32, String)]) -> String {
    let words: Vec<String> =
        fds.iter().map(|(number, what)| format!("{number} ({what})")).collect();
    match words.is_empty() {
        true => "none".to_owned(),
        false => words.join(", "),
    }
}

/// How many threads `pid` has; 0 if it is gone.
pub fn threads(pid: i32) -> usize {
    stat(pid).map_or(0, |stat| stat.num_threads as usize)
}

/// The CPU time that `pid` has used so far, in user and in kernel mode, in steps of
/// one clock tick (usually 10 ms). Zero if it is gone.
pub fn cpu_time(pid: i32) -> Duration {
    let ticks = stat(pid).map_or(0, |stat| stat.utime + stat.stime);
    Duration::from_millis(1000 * ticks / procfs::ticks_per_second())
}

/// All processes that are visible to us, at one moment. To read it takes
/// milliseconds.
pub(crate) struct Table(Vec<Stat>);

impl Table {
    pub fn read() -> Table {
        let processes = all_processes().expect("/proc is needed to find processes");
        Table(processes.filter_map(|it| it.ok()?.stat().ok()).collect())
    }

    /// As the function of that name.
    pub fn children_of(&self, pid: i32) -> Vec<Process> {
        sorted(self.living().filter(|it| it.ppid == pid))
    }

    /// As the function of that name.
    pub fn descendants_of(&self, pid: i32) -> Vec<Process> {
        let mut processes = self.with_descendants(HashSet::from([pid]));
        processes.retain(|it| it.pid != pid);
        processes
    }

    /// As the function of that name.
    pub fn zombies_of(&self, pid: i32) -> Vec<Process> {
        sorted(self.0.iter().filter(|it| it.ppid == pid && it.state == 'Z'))
    }

    pub fn living(&self) -> impl Iterator<Item = &Stat> {
        self.0.iter().filter(|it| is_alive(it))
    }

    /// The living processes among `pids`, and all their living descendants, oldest
    /// first.
    pub fn with_descendants(&self, mut pids: HashSet<i32>) -> Vec<Process> {
        loop {
            let before = pids.len();
            for stat in self.living() {
                if pids.contains(&stat.ppid) {
                    pids.insert(stat.pid);
                }
            }
            if pids.len() == before {
                return sorted(self.living().filter(|it| pids.contains(&it.pid)));
            }
        }
    }
}

/// Oldest first, so that a list reads in the order in which the processes started.
fn sorted<'a>(stats: impl Iterator<Item = &'a Stat>) -> Vec<Process> {
    let mut processes: Vec<Process> = stats.map(Process::from).collect();
    processes.sort_by_key(|it| (it.start_time, it.pid));
    processes
}

fn stat(pid: i32) -> Option<Stat> {
    process::Process::new(pid).and_then(|it| it.stat()).ok()
}

fn is_alive(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X' | 'x')
}
