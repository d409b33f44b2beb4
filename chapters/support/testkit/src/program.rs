//! A program before it is started.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::capture::Capture;
use crate::process_tree::{ProcessTree, new_marker};
use crate::processes::Process;
use crate::running::{Output, Running};
use crate::sandbox::{self, MAX_OUTPUT};
use crate::spawn::spawn;
use crate::{failure, time_limit};

/// How a program will be started: its arguments, environment, directory. Its
/// standard input is `/dev/null`, unless set.
pub struct Program {
    command: Command,
    inherited: Vec<OwnedFd>,
    limit: Duration,
    is_sandboxed: bool,
}

impl Program {
    /// The program at `path`, or the one of that name in `PATH`.
    pub fn new(path: impl AsRef<OsStr>) -> Program {
        let mut command = Command::new(path);
        command.stdin(Stdio::null());
        let limit = Duration::from_secs(20);
        Program { command, inherited: Vec::new(), limit, is_sandboxed: false }
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

    /// Removes a variable from the environment that the program would inherit.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Program {
        self.command.env_remove(name);
        self
    }

    /// Sets the working directory.
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Program {
        self.command.current_dir(dir);
        self
    }

    /// Sets its standard input: an open file, or the reading end of a pipe.
    pub fn stdin(mut self, input: impl Into<Stdio>) -> Program {
        self.command.stdin(input);
        self
    }

    /// Sets how long [`output`](Program::output) may take. The default is 20 s.
    pub fn limit(mut self, limit: Duration) -> Program {
        self.limit = limit;
        self
    }

    /// Runs it in a [sandbox], where it can do no harm, and without backtraces. The
    /// limit of [`output`](Program::output) is then 10 s; a later
    /// [`limit`](Program::limit) changes it.
    pub fn sandboxed(mut self) -> Program {
        // The reader of a failure looks for one sentence on its standard error.
        // anyhow has a variable of its own.
        self.command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
        Program { is_sandboxed: true, limit: Duration::from_secs(10), ..self }
    }

    /// Gives the program a channel, as Node gives it to a child, and returns our
    /// end of it: so a test can be the parent of a worker. Sets `NODE_CHANNEL_FD`
    /// and `NODE_CHANNEL_SERIALIZATION_MODE`.
    ///
    /// # Panics
    /// If socketpair(2) fails.
    #[track_caller]
    pub fn channel(mut self) -> (Program, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        // The child inherits it under the number that it has here.
        let number = theirs.as_raw_fd().to_string();
        self.inherited.push(theirs.into());
        let program = self
            .env("NODE_CHANNEL_FD", number)
            .env("NODE_CHANNEL_SERIALIZATION_MODE", "json");
        (program, ours)
    }

    /// Starts it, in a process group of its own.
    ///
    /// It is killed when the *thread* that started it exits (`PR_SET_PDEATHSIG`),
    /// so that nothing is left when the test process itself is killed. Start it in
    /// a thread that lasts: the test's own.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn start(mut self) -> Running {
        let name = self.name();
        let marker = new_marker();
        self.command.env(&marker, "1").process_group(0);
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let is_sandboxed = self.is_sandboxed;
        if is_sandboxed {
            let limit = time_limit::seconds();
            assert!(
                !time_limit::is_up(),
                "cannot start `{name}`: all tests together may take {limit} s, and the tests before \
                 this one have used them up"
            );
            // Before `spawn`: a change of user clears the signal at the parent's
            // death (prctl(2)).
            sandbox::confine(&mut self.command);
        }
        let register = |child: &mut Child| register(child, marker, is_sandboxed);
        match spawn(&mut self.command, self.inherited, register) {
            Ok((child, tree)) => Running::new(name, child, tree),
            Err(error) => panic!("cannot start `{name}`: {error}"),
        }
    }

    /// Runs it until it exits. Then kills its descendants, if there are any left.
    ///
    /// # Panics
    /// If it cannot be started; if it has not exited within the
    /// [limit](Program::limit), or if one of its descendants still holds its output
    /// open then.
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

/// Begins to capture its output, and to watch it if it is sandboxed.
fn register(
    child: &mut Child,
    marker: String,
    is_sandboxed: bool,
) -> Arc<ProcessTree> {
    // It was not reaped yet, so it exists, if only as a zombie.
    let leader = Process::of(child.id() as i32).expect("/proc shows the child");
    let limit = if is_sandboxed { MAX_OUTPUT } else { usize::MAX };
    let stdout = Capture::start(child.stdout.take().expect("a pipe"), limit);
    let stderr = Capture::start(child.stderr.take().expect("a pipe"), limit);
    let tree = Arc::new(ProcessTree::new(leader, marker, [stdout, stderr]));
    if is_sandboxed {
        failure::watch(&tree.stderr);
        sandbox::watch(&tree);
    }
    tree
}
