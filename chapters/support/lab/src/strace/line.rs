//! A line: `4711 1795648431.494630 close(3<socket:[7]>) = 0`.

use super::value::{Value, end_of_list, end_of_name, number, values};

/// A line of strace: which thread, when, what.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The thread. The first one of a process has the number of the process.
    pub tid: i32,
    /// Seconds since 1970 (`-ttt`).
    pub time: f64,
    /// What happened.
    pub what: What,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A call that has returned.
    Call {
        /// Its name.
        name: String,
        /// The arguments, as printed.
        arguments: String,
        /// What it returned.
        returned: Returned,
    },
    /// The beginning of a call: another thread's line follows before it returns.
    Unfinished {
        /// Its name.
        name: String,
        /// The arguments that are known before it returns.
        arguments: String,
    },
    /// The end of a call that was unfinished.
    Resumed {
        /// Its name.
        name: String,
        /// The rest of the arguments.
        arguments: String,
        /// `None`: the thread has exited in it.
        returned: Option<Returned>,
    },
    /// A signal was delivered.
    Signal {
        /// `SIGTERM`.
        name: String,
        /// `{si_signo=SIGTERM, si_code=SI_USER, si_pid=4711, …}`.
        info: Value,
    },
    /// The process was stopped by this signal.
    Stopped(String),
    /// The thread has exited with this code.
    Exited(i32),
    /// The thread was killed.
    Killed {
        /// By this signal.
        signal: String,
        /// Its memory was written to a file.
        core: bool,
    },
    /// This thread called execve(2) and goes on under the number of the process.
    Superseded(i32),
    /// Something else, as printed.
    Other(String),
}

/// What a call returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Returned {
    /// As printed: `3<socket:[12]>`, `-1`, `?`.
    pub text: String,
    /// `EAGAIN`.
    pub error: Option<String>,
}

impl Returned {
    /// The number that was returned.
    pub fn number(&self) -> Option<i64> {
        number(&self.text)
    }

    /// Whether the call has succeeded.
    pub fn is_ok(&self) -> bool {
        self.error.is_none() && self.text != "?"
    }
}

impl Line {
    /// Reads a line. `None`: it does not begin with a thread and a time.
    pub fn parse(text: &str) -> Option<Line> {
        let (tid, time, rest) = begin(text)?;
        let what = what(rest).unwrap_or_else(|| What::Other(rest.to_owned()));
        Some(Line { tid, time, what })
    }

    /// Reads a line that is not complete: a thread blocks in a call, and no other one
    /// prints.
    pub fn parse_partial(text: &str) -> Option<Line> {
        let (tid, time, rest) = begin(text)?;
        let (name, arguments) = call(rest)?;
        let (name, arguments) = (name.to_owned(), arguments.trim_end().to_owned());
        Some(Line { tid, time, what: What::Unfinished { name, arguments } })
    }
}

fn begin(text: &str) -> Option<(i32, f64, &str)> {
    let (tid, rest) = text.split_once(char::is_whitespace)?;
    let (time, rest) = rest.trim_start().split_once(' ')?;
    Some((tid.parse().ok()?, time.parse().ok()?, rest.trim_start()))
}

fn what(rest: &str) -> Option<What> {
    if let Some(end) = between(rest, "+++ ", " +++") {
        return end_of_thread(end);
    }
    if let Some(signal) = between(rest, "--- ", " ---") {
        if let Some(name) = signal.strip_prefix("stopped by ") {
            return Some(What::Stopped(name.to_owned()));
        }
        let (name, info) = signal.split_once(' ')?;
        let info = values(info).into_iter().next()?;
        return Some(What::Signal { name: name.to_owned(), info });
    }
    if let Some(rest) = rest.strip_prefix("<... ") {
        return resumed(rest);
    }
    let (name, rest) = call(rest)?;
    let name = name.to_owned();
    // A call of execve(2) by a thread prints that its number changes.
    let changed = rest.find(" <pid changed to ").map(|it| &rest[..it]);
    if let Some(rest) = rest.strip_suffix("<unfinished ...>").or(changed) {
        return Some(What::Unfinished {
            name,
            arguments: rest.trim_end().to_owned(),
        });
    }
    let end = end_of_list(rest)?;
    let returned = returned(&rest[end + 1..])?;
    Some(What::Call { name, arguments: rest[..end].to_owned(), returned })
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.strip_prefix(start)?.strip_suffix(end)
}

/// `name(`, and what follows. The name is `???` if the process was killed before strace
/// could ask for it.
fn call(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('(')?;
    let is_part = |it: u8| it.is_ascii_alphanumeric() || it == b'_' || it == b'?';
    (!name.is_empty() && name.bytes().all(is_part)).then_some((name, rest))
}

fn end_of_thread(text: &str) -> Option<What> {
    if let Some(code) = text.strip_prefix("exited with ") {
        return code.parse().ok().map(What::Exited);
    }
    if let Some(signal) = text.strip_prefix("killed by ") {
        let (signal, core) = match signal.split_once(' ') {
            Some((signal, _)) => (signal, true),
            None => (signal, false),
        };
        return Some(What::Killed { signal: signal.to_owned(), core });
    }
    let tid = text.strip_prefix("superseded by execve in pid ")?;
    tid.parse().ok().map(What::Superseded)
}

fn resumed(text: &str) -> Option<What> {
    let (name, rest) = text.split_once(" resumed>")?;
    let name = name.to_owned();
    // `<... poll resumed> <unfinished ...>) = ?`: the thread has exited in it.
    let rest = rest.strip_prefix(" <unfinished ...>").unwrap_or(rest);
    let end = end_of_list(rest);
    let arguments = rest[..end.unwrap_or(rest.len())].to_owned();
    let returned = end.and_then(|end| returned(&rest[end + 1..]));
    Some(What::Resumed { name, arguments, returned })
}

/// ` = -1 EAGAIN (Resource temporarily unavailable)`.
fn returned(text: &str) -> Option<Returned> {
    let text = text.trim_start().strip_prefix('=')?.trim_start();
    // What a descriptor refers to may have blanks in it.
    let number = text.find(|it: char| !(it.is_ascii_alphanumeric() || it == '-'));
    let mut end = text.find(' ').unwrap_or(text.len());
    if let Some(at) = number.filter(|&it| text[it..].starts_with('<')) {
        end = end_of_name(text.as_bytes(), at)? + 1;
    }
    let (value, rest) = text.split_at(end);
    let error = rest.trim_start().split([' ', '(']).next().unwrap_or_default();
    let is_part =
        |it: u8| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_';
    let is_error = error.starts_with('E') && error.bytes().all(is_part);
    let error = is_error.then(|| error.to_owned());
    Some(Returned { text: value.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parsed(rest: &str) -> What {
        Line::parse(&format!("5 1.5 {rest}")).expect("a line").what
    }

    fn call(name: &str, arguments: &str, text: &str, error: Option<&str>) -> What {
        let (name, arguments) = (name.to_owned(), arguments.to_owned());
        let (text, error) = (text.to_owned(), error.map(str::to_owned));
        What::Call { name, arguments, returned: Returned { text, error } }
    }

    #[test]
    fn a_call_without_a_name_is_a_call() {
        let line = Line::parse("5 1.5 ???( <unfinished ...>").expect("a call");
        let (name, arguments) = ("???".to_owned(), String::new());
        assert_eq!(line.what, What::Unfinished { name, arguments });
        let line = Line::parse("5 1.5 <... ??? resumed>) = ?").expect("its end");
        assert!(matches!(line.what, What::Resumed { .. }), "{line:?}");
        let line = Line::parse("5 1.5 <... ??? resumed>").expect("its end");
        assert!(
            matches!(line.what, What::Resumed { returned: None, .. }),
            "{line:?}"
        );
    }

    #[test]
    fn a_line_has_a_thread_and_a_time() {
        let line =
            Line::parse("20665 1795648431.494630 close(3) = 0").expect("a line");
        assert_eq!((line.tid, line.time), (20665, 1_795_648_431.494_63));
        assert_eq!(line.what, call("close", "3", "0", None));
        assert_eq!(Line::parse("strace: Process 5 attached"), None);
        assert_eq!(Line::parse(""), None);
    }

    #[test]
    fn a_call_returns_a_value_or_an_error() {
        assert_eq!(
            parsed("openat(AT_FDCWD, \"/a b\", O_RDONLY) = 3</a b>"),
            call("openat", "AT_FDCWD, \"/a b\", O_RDONLY", "3</a b>", None)
        );
        assert_eq!(
            parsed(
                "read(3</x>, \") = 5\\\"\", 9) = -1 EAGAIN (Resource temporarily unavailable)"
            ),
            call("read", "3</x>, \") = 5\\\"\", 9", "-1", Some("EAGAIN"))
        );
        assert_eq!(
            parsed(
                "poll([{fd=9</a b>, events=POLLIN}], 1, -1) = 1 ([{fd=9, revents=POLLIN}])"
            ),
            call("poll", "[{fd=9</a b>, events=POLLIN}], 1, -1", "1", None)
        );
        assert_eq!(
            parsed(
                "accept4(3<socket:[7]>, NULL, NULL, SOCK_CLOEXEC) = 9<socket:[8]>"
            ),
            call(
                "accept4",
                "3<socket:[7]>, NULL, NULL, SOCK_CLOEXEC",
                "9<socket:[8]>",
                None
            )
        );
        assert_eq!(parsed("exit_group(0) = ?"), call("exit_group", "0", "?", None));
        assert_eq!(
            parsed("fork()                  = 12"),
            call("fork", "", "12", None)
        );
    }

    #[test]
    fn a_call_can_come_in_two_parts() {
        assert_eq!(
            parsed("wait4(-1,  <unfinished ...>"),
            What::Unfinished { name: "wait4".into(), arguments: "-1,".into() }
        );
        let What::Resumed { name, arguments, returned } = parsed(
            "<... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 7",
        ) else {
            panic!("it is resumed");
        };
        let number = returned.expect("it has returned").number();
        assert_eq!((&*name, number), ("wait4", Some(7)));
        assert!(
            arguments.starts_with("[{WIFEXITED") && arguments.ends_with("NULL")
        );
        let What::Resumed { returned, .. } =
            parsed("<... poll resumed> <unfinished ...>) = ?")
        else {
            panic!("it is resumed");
        };
        assert_eq!(returned.expect("a text").text, "?");
        assert_eq!(
            parsed(
                "execve(\"/a\", [\"a\"], 0x1 /* 9 vars */ <pid changed to 7 ...>"
            ),
            What::Unfinished {
                name: "execve".into(),
                arguments: "\"/a\", [\"a\"], 0x1 /* 9 vars */".into()
            }
        );
    }

    #[test]
    fn signals_and_ends_are_lines() {
        let What::Signal { name, info } = parsed(
            "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=7, si_status=0} ---",
        ) else {
            panic!("a signal");
        };
        assert_eq!(name, "SIGCHLD");
        assert_eq!(info.field("si_pid").and_then(Value::number), Some(7));
        assert_eq!(
            parsed("--- stopped by SIGSTOP ---"),
            What::Stopped("SIGSTOP".into())
        );
        assert_eq!(parsed("+++ exited with 3 +++"), What::Exited(3));
        let killed = |core| What::Killed { signal: "SIGABRT".into(), core };
        assert_eq!(parsed("+++ killed by SIGABRT +++"), killed(false));
        assert_eq!(parsed("+++ killed by SIGABRT (core dumped) +++"), killed(true));
        assert_eq!(
            parsed("+++ superseded by execve in pid 9 +++"),
            What::Superseded(9)
        );
        assert_eq!(parsed("????"), What::Other("????".into()));
    }

    #[test]
    fn a_call_that_blocks_has_no_end_yet() {
        let line =
            Line::parse_partial("5 1.5 accept4(3<socket:[7]>, ").expect("a call");
        let arguments = "3<socket:[7]>,".to_owned();
        assert_eq!(
            line.what,
            What::Unfinished { name: "accept4".into(), arguments }
        );
        assert_eq!(Line::parse_partial("5 1.5 --- SIGCH"), None);
    }
}
