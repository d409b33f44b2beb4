//! Processes and signals.

use super::{Call, Done, Kill, Model, Process};
use crate::{
    event::{Action, End, Level, What},
    strace::{Returned, Value, number, values},
};

/// Signals whose actions belong to the story.
const SIGNALS: [&str; 8] = [
    "SIGTERM", "SIGINT", "SIGHUP", "SIGCHLD", "SIGUSR1", "SIGUSR2", "SIGQUIT",
    "SIGALRM",
];

/// A kill this long ago may be the reason of a death.
const KILL_SECONDS: f64 = 1.0;

/// So many kills are remembered.
const MAX_KILLS: usize = 64;

impl Model {
    /// Calls that make, change, end and wait for processes. Returns whether this is one.
    pub(super) fn life(&mut self, done: &Done) -> bool {
        match done.name {
            "clone" | "clone3" | "fork" | "vfork" => self.forked(done),
            "execve" | "execveat" => self.executed(done),
            "wait4" | "waitid" => self.waited(done),
            "kill" | "tgkill" | "tkill" | "rt_sigqueueinfo"
            | "rt_tgsigqueueinfo" | "pidfd_send_signal" => self.killed(done),
            "rt_sigaction" => self.set_action(done),
            "prctl" if done.argument(0).word() == "PR_SET_PDEATHSIG" => {
                self.set_death_signal(done);
            }
            "exit" | "exit_group" => {} // the thread's end is a line of its own
            _ => return false,
        }
        true
    }

    /// A thread that was not seen before: the first of all, or a child whose parent's
    /// fork has not returned yet. Returns false if it is not clear whose child it is.
    pub(super) fn adopt(&mut self, tid: i32) -> bool {
        if self.threads.is_empty() && self.next == 0 {
            self.threads.insert(tid, tid);
            self.processes.insert(tid, Process::default());
            self.tables.begin(tid);
            self.open_standard(tid);
            return true;
        }
        let is_fork = |call: &Call| {
            matches!(&*call.name, "clone" | "clone3" | "fork" | "vfork")
        };
        let mut parents = self.calls.iter();
        let mut parents =
            parents.by_ref().filter(|(_, it)| !it.is_done && is_fork(it));
        let (Some((&parent, call)), None) = (parents.next(), parents.next()) else {
            return false;
        };
        let call = call.clone();
        if let Some(call) = self.calls.get_mut(&parent) {
            call.is_done = true;
        }
        let raw = format!("{}({}", call.name, call.arguments);
        self.born((parent, call.time), tid, &call.arguments, &raw);
        true
    }

    fn forked(&mut self, done: &Done) {
        let child = done.returned.number().filter(|_| done.returned.is_ok());
        let Some(child) = child else { return self.other(done, Level::Life) };
        if !self.threads.contains_key(&(child as i32)) {
            let parent = (done.tid, done.began);
            self.born(parent, child as i32, done.arguments, done.raw);
        }
    }

    fn born(
        &mut self,
        (tid, time): (i32, f64),
        child: i32,
        flags: &str,
        raw: &str,
    ) {
        let Some(&parent) = self.threads.get(&tid) else { return };
        if flags.contains("CLONE_THREAD") {
            self.threads.insert(child, parent);
            return self.add(tid, time, Level::All, What::Thread { child }, raw);
        }
        self.tables.fork(parent, child, flags.contains("CLONE_FILES"));
        let actions = self.processes.get(&parent).map(|it| it.actions.clone());
        let actions = actions.unwrap_or_default();
        self.threads.insert(child, child);
        self.processes
            .insert(child, Process { actions, parent, death_signal: None });
        self.add(tid, time, Level::Life, What::Fork { child }, raw);
    }

    fn executed(&mut self, done: &Done) {
        if !done.returned.is_ok() {
            return self.other(done, Level::Story);
        }
        let first = usize::from(done.name == "execveat");
        let text = |value: &Value| {
            let bytes = value.bytes().map_or(&b""[..], |(bytes, _)| bytes);
            String::from_utf8_lossy(bytes).into_owned()
        };
        let path = text(done.argument(first));
        let arguments = done.argument(first + 1).items().iter().map(text).collect();
        self.tables.exec(done.pid);
        // A handler is a function of the old program (execve(2)).
        if let Some(process) = self.processes.get_mut(&done.pid) {
            process.actions.retain(|_, action| *action == Action::Ignore);
        }
        let what = What::Exec { path, arguments };
        self.add(done.tid, done.ended, Level::Life, what, done.raw);
    }

    pub(super) fn exited(&mut self, tid: i32, time: f64, code: i32, raw: &str) {
        self.ended(tid, time, End::Exited { code }, raw);
    }

    pub(super) fn was_killed(
        &mut self,
        tid: i32,
        time: f64,
        signal: &str,
        raw: &str,
    ) {
        let by = self.killer(tid, time, signal);
        let signal = signal.to_owned();
        self.ended(tid, time, End::Killed { signal, by }, raw);
    }

    fn ended(&mut self, tid: i32, time: f64, end: End, raw: &str) {
        self.calls.remove(&tid);
        self.waits.remove(&tid);
        let Some(&pid) = self.threads.get(&tid) else { return };
        if pid == tid {
            self.processes.remove(&pid);
            self.tables.exit(pid);
            self.lose_what_is_gone();
            self.add(tid, time, Level::Life, What::Exit(end), raw);
        }
        self.threads.remove(&tid);
    }

    fn waited(&mut self, done: &Done) {
        if !done.returned.is_ok() {
            let is_last = done.returned.error.as_deref() == Some("ECHILD");
            return self
                .other(done, if is_last { Level::Story } else { Level::All });
        }
        let status = match done.name {
            "wait4" => wait4_status(done),
            _ => waitid_status(done),
        };
        match status.filter(|_| !done.has("WNOWAIT")) {
            Some((child, end)) => {
                let what = What::Reap { child, end };
                self.add(done.tid, done.ended, Level::Life, what, done.raw);
            }
            None => self.other(done, Level::All),
        }
    }

    pub(super) fn signal(
        &mut self,
        tid: i32,
        time: f64,
        name: &str,
        info: &Value,
        raw: &str,
    ) {
        let Some(&pid) = self.threads.get(&tid) else { return };
        let from = info.field("si_pid").and_then(Value::number);
        let from = from.map(|it| it as i32);
        if let Some(from) = from {
            self.pull_kills(Some(from), pid);
        }
        let process = self.processes.get(&pid);
        let action = process.and_then(|it| it.actions.get(name).copied());
        let action = action.unwrap_or(Action::Default);
        // It looks as if the parent had sent it (prctl(2), PR_SET_PDEATHSIG).
        let is_expected = process.is_some_and(|it| {
            it.death_signal.as_deref() == Some(name) && from == Some(it.parent)
        });
        let was_sent =
            |it: &Kill| Some(it.from) == from && it.to == pid && it.signal == name;
        let is_parents_death = is_expected && !self.kills.iter().any(was_sent);
        let signal = name.to_owned();
        let what = What::Signal { signal, from, action, is_parents_death };
        self.add(tid, time, Level::Life, what, raw);
    }

    fn set_action(&mut self, done: &Done) {
        let signal = done.argument(0).word().to_owned();
        let action = done.argument(1);
        let handler = action.field("sa_handler").or(action.field("sa_sigaction"));
        let Some(handler) = handler.filter(|_| done.returned.is_ok()) else {
            return self.other(done, Level::All);
        };
        let action = match handler.word() {
            "SIG_DFL" => Action::Default,
            "SIG_IGN" => Action::Ignore,
            _ => Action::Handler,
        };
        let Some(process) = self.processes.get_mut(&done.pid) else { return };
        let before = process.actions.insert(signal.clone(), action);
        // A program that ends gives its signals their default action again.
        let is_story = SIGNALS.contains(&&*signal)
            && before.unwrap_or(Action::Default) != action
            && action != Action::Default;
        let level = if is_story { Level::Story } else { Level::All };
        let what = What::Action { signal, action };
        self.add(done.tid, done.began, level, what, done.raw);
    }

    fn set_death_signal(&mut self, done: &Done) {
        if !done.returned.is_ok() {
            return self.other(done, Level::Calls);
        }
        let signal = done.argument(1).word().to_owned();
        if let Some(process) = self.processes.get_mut(&done.pid) {
            process.death_signal = (signal != "0").then(|| signal.clone());
        }
        let what = What::DeathSignal { signal };
        self.add(done.tid, done.began, Level::Calls, what, done.raw);
    }

    // Signals that are sent.

    fn killed(&mut self, done: &Done) {
        let word = |at: usize| done.argument(at).number().unwrap_or(0) as i32;
        let (to, signal) = match done.name {
            "tgkill" | "rt_tgsigqueueinfo" => (word(0), done.argument(2)),
            "pidfd_send_signal" => {
                let name = done.argument(0).fd().and_then(|(_, name)| name);
                let pid = name.and_then(|it| it.strip_prefix("pid:"));
                (pid.and_then(number).unwrap_or(0) as i32, done.argument(1))
            }
            _ => (word(0), done.argument(1)),
        };
        let signal = signal.word().to_owned();
        let error = done.returned.error.clone();
        self.note_kill(done.began, done.pid, to, &signal);
        // Signal 0 only asks whether the process exists (kill(2)).
        let level = if signal == "0" { Level::Calls } else { Level::Life };
        let what = What::Kill { to, signal, error };
        self.add(done.tid, done.began, level, what, done.raw);
    }

    /// A signal was sent, by a process or by the lab (0).
    pub fn note_kill(&mut self, time: f64, from: i32, to: i32, signal: &str) {
        self.kills.push_back(Kill { time, from, to, signal: signal.to_owned() });
        if self.kills.len() > MAX_KILLS {
            self.kills.pop_front();
        }
    }

    /// Which process has sent the signal that has killed this one. SIGKILL does not say
    /// so itself.
    fn killer(&mut self, tid: i32, time: f64, signal: &str) -> Option<i32> {
        let pid = *self.threads.get(&tid)?;
        self.pull_kills(None, pid);
        let is_it = |it: &&Kill| {
            it.to == pid && it.signal == signal && time - it.time < KILL_SECONDS
        };
        self.kills.iter().rev().find(is_it).map(|it| it.from)
    }

    /// The effect of a kill is seen before the call has returned: it counts now.
    fn pull_kills(&mut self, from: Option<i32>, to: i32) {
        let is_it = |tid: &i32, call: &Call| {
            let sender = self.threads.get(tid);
            let is_kill = matches!(
                &*call.name,
                "kill" | "tgkill" | "rt_sigqueueinfo" | "pidfd_send_signal"
            );
            let target = values(&call.arguments).first().and_then(Value::number);
            is_kill
                && !call.is_done
                && (from.is_none() || sender == from.as_ref())
                && (call.name != "kill" || target == Some(i64::from(to)))
        };
        let found: Vec<i32> = self
            .calls
            .iter()
            .filter(|(tid, call)| is_it(tid, call))
            .map(|(tid, _)| *tid)
            .collect();
        for tid in found {
            let Some(call) = self.calls.get_mut(&tid) else { continue };
            call.is_done = true;
            let Call { time, name, arguments, .. } = call.clone();
            let returned = Returned { text: "0".to_owned(), error: None };
            let raw = format!("{name}({arguments})");
            self.call(tid, (time, time), (&name, &arguments), &returned, &raw);
        }
    }

    // What a process waits for.

    /// A call has begun that may block.
    pub(super) fn waits(&mut self, tid: i32, time: f64, name: &str, text: &str) {
        // Threads of a runtime wait for work all the time.
        let Some(pid) = self.threads.get(&tid).copied().filter(|it| *it == tid)
        else {
            return;
        };
        // The beginning of its line may have come before.
        if self.waits.insert(tid, time) == Some(time) {
            return;
        }
        let arguments = values(text);
        let first = arguments.first();
        let fds: Vec<i32> = match name {
            "poll" | "ppoll" => {
                let polled = first.map_or(&[][..], Value::items).iter();
                let fds = polled.filter_map(|it| it.field("fd")?.fd());
                fds.map(|(fd, _)| fd).collect()
            }
            // A call that goes on after SIGCONT: `<... resuming interrupted poll ...>`.
            "restart_syscall" => {
                let name = text.split("interrupted ").nth(1).unwrap_or_default();
                let name = name.split(' ').next().unwrap_or_default();
                let what = What::Wait { call: name.to_owned(), fds: Vec::new() };
                return self.add(tid, time, Level::All, what, "");
            }
            "wait4" | "waitid" | "pause" | "rt_sigsuspend" | "rt_sigtimedwait"
            | "nanosleep" | "clock_nanosleep" | "select" | "pselect6" => Vec::new(),
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" | "accept"
            | "accept4" | "connect" | "flock" => {
                first.and_then(Value::fd).map(|(fd, _)| fd).into_iter().collect()
            }
            "read" | "recvmsg" | "recvfrom" => {
                let word = first.map_or("", Value::word).to_owned();
                match self.look(pid, &word) {
                    Some((fd, object)) if self.can_wait(object) => vec![fd],
                    _ => return,
                }
            }
            _ => return,
        };
        let what = What::Wait { call: name.to_owned(), fds };
        self.add(tid, time, Level::All, what, "");
    }
}

/// `wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 7`.
fn wait4_status(done: &Done) -> Option<(i32, End)> {
    let child = done.returned.number().filter(|it| *it > 0)? as i32;
    let status = done.argument(1).items().first()?;
    let Value::Struct(fields) = status else { return None };
    let words: Vec<&str> = fields.iter().map(|(_, value)| value.word()).collect();
    let words = words.join(" ");
    let behind = |mark: &str| {
        let rest = words.split_once(mark)?.1;
        rest.split([' ', '}', ')']).next().map(str::to_owned)
    };
    if let Some(code) = behind("WEXITSTATUS(s) == ") {
        return Some((child, End::Exited { code: number(&code)? as i32 }));
    }
    let signal = behind("WTERMSIG(s) == ")?;
    Some((child, End::Killed { signal, by: None }))
}

/// `waitid(P_PID, 7, {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=7, si_status=0}, …)`.
fn waitid_status(done: &Done) -> Option<(i32, End)> {
    let info = done.argument(2);
    let child = info.field("si_pid")?.number().filter(|it| *it > 0)? as i32;
    let status = info.field("si_status")?;
    let end = match info.field("si_code")?.word() {
        "CLD_EXITED" => End::Exited { code: status.number()? as i32 },
        "CLD_KILLED" | "CLD_DUMPED" => {
            End::Killed { signal: status.word().to_owned(), by: None }
        }
        _ => return None,
    };
    Some((child, end))
}
