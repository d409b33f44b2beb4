//! A program that is to be started.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::capture::Capture;
use crate::cell;
use crate::family::{Family, new_mark};
use crate::processes::Process;
use crate::running::Running;
use crate::spawn::{spawn, spawn_confined};

/// How a program is to be started: arguments, environment, directory. Standard input is
/// `/dev/null` unless said otherwise.
pub struct Program {
    command: Command,
    inherited: Vec<OwnedFd>,
    limit: Duration,
    in_cell: bool,
}

impl Program {
    /// The program at `path`, or the one of that name in `PATH`.
    pub fn new(path: impl AsRef<OsStr>) -> Program {
        let mut command = Command::new(path);
        command.stdin(Stdio::null());
        let limit = Duration::from_secs(20);
        Program { command, inherited: Vec::new(), limit, in_cell: false }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Program {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(
        mut self,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Program {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub fn env(
        mut self,
        name: impl AsRef<OsStr>,
        value: impl AsRef<OsStr>,
    ) -> Program {
        self.command.env(name, value);
        self
    }

    /// Takes a variable out of the environment that the program would inherit.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Program {
        self.command.env_remove(name);
        self
    }

    /// Sets the working directory.
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Program {
        self.command.current_dir(dir);
        self
    }

    /// `/dev/null` as standard input: the default, and the way back to it.
    pub fn stdin_null(self) -> Program {
        self.stdin(Stdio::null())
    }

    /// Something else as standard input: an open file, or the reading end of a pipe.
    pub fn stdin(mut self, input: impl Into<Stdio>) -> Program {
        self.command.stdin(input);
        self
    }

    /// How long [`output`](Program::output) may take. The default is 20 s.
    pub fn limit(mut self, limit: Duration) -> Program {
        self.limit = limit;
        self
    }

    /// Has it run in a [cell], where it can do no harm. It then has 10 s for
    /// [`output`](Program::output), unless the [limit](Program::limit) is set after this.
    pub fn in_cell(self) -> Program {
        Program { in_cell: true, limit: Duration::from_secs(10), ..self }
    }

    /// Gives the program a channel as Node gives it to a child, and returns our end of it: so a
    /// test can be the parent of a worker. Sets `NODE_CHANNEL_FD` and the serialization mode.
    ///
    /// # Panics
    /// When no pair of sockets can be had.
    #[track_caller]
    pub fn channel(mut self) -> (Program, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        // The child inherits it under the number that it has here.
        let number = theirs.as_raw_fd().to_string();
        self.inherited.push(theirs.into());
        let channel = self
            .env("NODE_CHANNEL_FD", number)
            .env("NODE_CHANNEL_SERIALIZATION_MODE", "json");
        (channel, ours)
    }

    /// Starts it, in a process group of its own.
    ///
    /// On Linux it dies with the *thread* that starts it (`PR_SET_PDEATHSIG`), so that nothing is
    /// left when the test process itself is killed. Start it on a thread that lasts: a test's
    /// own.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn start(mut self) -> Running {
        let name = self.name();
        let mark = new_mark();
        self.command.env(&mark, "1").process_group(0);
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let enrol = |child: &mut Child| {
            let pid = child.id() as i32;
            // Not reaped yet, so it is there, if only as a zombie.
            let leader = Process::of(pid).expect("/proc shows the child");
            let most = if self.in_cell { cell::MAX_OUTPUT } else { usize::MAX };
            let stdout =
                Capture::of(child.stdout.take().expect("stdout is a pipe"), most);
            let stderr =
                Capture::of(child.stderr.take().expect("stderr is a pipe"), most);
            let family = Arc::new(Family::new(leader, mark, [stdout, stderr]));
            if self.in_cell {
                cell::watch(&family);
            }
            family
        };
        let spawned = if self.in_cell {
            assert!(
                !cell::time_is_up(),
                "cannot start `{name}`: all tests together may take {} s, and the tests before this one \
                 have used them up",
                cell::run_limit().as_secs()
            );
            spawn_confined(&mut self.command, self.inherited, enrol)
        } else {
            spawn(&mut self.command, self.inherited, enrol)
        };
        let (child, family) =
            spawned.unwrap_or_else(|e| panic!("cannot start `{name}`: {e}"));
        Running::new(name, child, family)
    }

    /// Runs it to its end and returns what came of it. Whatever it left behind is killed.
    ///
    /// # Panics
    /// When it cannot be started; when it has not ended within the [limit](Program::limit), or
    /// when something that it started still holds its output then.
    #[track_caller]
    pub fn output(self) -> Output {
        let limit = self.limit;
        self.start().finish(limit)
    }

    fn name(&self) -> String {
        let words = std::iter::once(self.command.get_program())
            .chain(self.command.get_args());
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}

/// What a program came to.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output as one JSON value a line.
    ///
    /// # Panics
    /// When a line is not JSON.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| json(line)).collect()
    }
}

#[track_caller]
fn json(line: &str) -> Value {
    serde_json::from_str(line)
        .unwrap_or_else(|e| panic!("not JSON ({e}): {line:?}"))
}
