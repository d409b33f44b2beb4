//! `lab PROGRAM ARG...`: runs a program under strace and shows what its processes do.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    process::{self, Command, ExitCode},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use cli::Arguments;
use lab::{
    recording::{self, FORMAT, Head},
    serve::{Lab, serve},
    session::Session,
    trace::{Lifeline, Trace},
    warden::{self, become_subreaper},
};
use nix::{
    sys::signal::{SigSet, Signal},
    unistd::{AccessFlags, access},
};

const USAGE: &str = "\
Runs a program under strace, and shows in a browser what its processes do.

usage: lab [--port N] [--strace FILE] [--] PROGRAM ARG...
       lab [--strace FILE] --record FILE [--] PROGRAM ARG...
       lab [--port N] FILE

  --port N       the port of the page on 127.0.0.1; without it, the kernel chooses one
  --strace FILE  this strace
  --record FILE  writes a recording, and needs no browser
  FILE           a recording: it is shown, and needs no strace
";

/// The program has this long to end after a SIGTERM.
const GRACE: Duration = Duration::from_millis(1500);

/// timeout(1) sends its signal twice, to the lab and to the lab's group: that is one.
const ONE_SIGNAL: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    cli::run(USAGE, |mut arguments| match Options::take(&mut arguments)? {
        Options::Warden { lifeline, files, command } => {
            warden::run(lifeline, &files, &command)
        }
        Options::Run { port, strace, program, record: file } => {
            check_program(&program[0])?;
            check_strace(&strace)?;
            match file {
                Some(file) => record(&strace, &program, &file),
                None => show_program(port, &strace, &program),
            }
        }
        Options::Open { port, file } => show_recording(port, &file),
    })
}

/// The command line.
enum Options {
    Run {
        port: u16,
        strace: PathBuf,
        program: Vec<OsString>,
        record: Option<PathBuf>,
    },
    Open {
        port: u16,
        file: PathBuf,
    },
    Warden {
        lifeline: OwnedFd,
        files: PathBuf,
        command: Vec<OsString>,
    },
}

impl Options {
    fn take(arguments: &mut Arguments) -> anyhow::Result<Options> {
        let (mut port, mut strace, mut record) = (0, PathBuf::from("strace"), None);
        let program = loop {
            let Some(word) = arguments.word()? else {
                return Err(cli::wrong("there is no PROGRAM"));
            };
            match &*word {
                "--port" => port = arguments.number("--port", 0, u16::MAX)?,
                "--strace" => strace = arguments.value()?.into(),
                "--record" => record = Some(arguments.value()?.into()),
                "--warden" => {
                    let number = arguments.number("--warden", 3, i32::MAX)?;
                    // SAFETY: the lab has passed it on, and nothing else uses it.
                    let lifeline = unsafe { OwnedFd::from_raw_fd(number) };
                    let files = arguments.value()?.into();
                    let command = arguments.remaining();
                    return Ok(Options::Warden { lifeline, files, command });
                }
                flag if flag.starts_with("--") => {
                    return Err(cli::unexpected(flag));
                }
                _ => {
                    let rest = arguments.remaining();
                    break [vec![word.into()], rest].concat();
                }
            }
        };
        match &*program {
            [file] if record.is_none() && is_recording(Path::new(file)) => {
                Ok(Options::Open { port, file: file.into() })
            }
            _ => Ok(Options::Run { port, strace, program, record }),
        }
    }
}

/// Whether a file begins as a recording does.
fn is_recording(file: &Path) -> bool {
    let Ok(file) = File::open(file) else { return false };
    let mut line = String::new();
    let read = BufReader::new(file).read_line(&mut line);
    read.is_ok() && line.contains(FORMAT)
}

/// Serves the page until a signal comes.
fn show_program(
    port: u16,
    strace: &Path,
    program: &[OsString],
) -> anyhow::Result<ExitCode> {
    let (trace, lab, is_told) = start(strace, program)?;
    let page = serve(Arc::clone(&lab), port)?;
    cli::complain(format_args!("lab: {page}"));
    cli::complain("lab: the program is about ten times slower than without it");
    lab.session.follow(trace);
    if !is_told.load(Ordering::SeqCst) {
        cli::complain("lab: the program has ended; Ctrl-C ends the lab");
        // A signal ends it.
        loop {
            thread::park();
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a recording when the program has ended, or a signal has come.
fn record(
    strace: &Path,
    program: &[OsString],
    file: &Path,
) -> anyhow::Result<ExitCode> {
    let context = || format!("cannot write {}", file.display());
    let mut output = BufWriter::new(File::create(file).with_context(context)?);
    let (trace, lab, _) = start(strace, program)?;
    lab.session.follow(trace);
    recording::write(&mut output, &lab.head).with_context(context)?;
    let events = lab.session.events(0, usize::MAX, Duration::ZERO);
    output.write_all(events.as_bytes()).with_context(context)?;
    output.flush().with_context(context)?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the program. A signal to this process ends it, and sets the flag.
fn start(
    strace: &Path,
    program: &[OsString],
) -> anyhow::Result<(Trace, Arc<Lab>, Arc<AtomicBool>)> {
    become_subreaper()?;
    // Before the first thread, so that each one inherits it: signals are waited for.
    let signals: SigSet =
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_block().context("cannot block signals")?;
    let (trace, lifeline) = Trace::start(strace, program)?;
    let program =
        program.iter().map(|it| it.to_string_lossy().into_owned()).collect();
    let lab = Arc::new(Lab {
        head: Head::new(program),
        session: Session::default(),
        warden: Some(trace.warden()),
    });
    let is_told = Arc::new(AtomicBool::new(false));
    let (told, session) = (Arc::clone(&is_told), Arc::clone(&lab));
    thread::spawn(move || {
        let _ = signals.wait();
        told.store(true, Ordering::SeqCst);
        end(&signals, &session, lifeline);
    });
    Ok((trace, lab, is_told))
}

/// Asks the program to end; after a while, or after another signal, kills it.
fn end(signals: &SigSet, lab: &Lab, lifeline: Lifeline) {
    if lab.session.has_ended() {
        process::exit(0);
    }
    cli::complain("lab: ends the program (once more: at once)");
    lab.session.end_program(lab.warden.unwrap_or_default());
    let lifeline = Arc::new(Mutex::new(Some(lifeline)));
    let later = Arc::clone(&lifeline);
    let kill = |it: &Mutex<Option<Lifeline>>| {
        drop(it.lock().ok().and_then(|mut it| it.take()))
    };
    thread::spawn(move || {
        thread::sleep(GRACE);
        kill(&later);
    });
    let asked = Instant::now();
    while asked.elapsed() < ONE_SIGNAL {
        let _ = signals.wait();
    }
    kill(&lifeline);
}

fn show_recording(port: u16, file: &Path) -> anyhow::Result<ExitCode> {
    let read = || recording::read(BufReader::new(File::open(file)?));
    let context = || format!("cannot read the recording {}", file.display());
    let (head, events) = read().with_context(context)?;
    let session = Session::recorded(events);
    let lab = Arc::new(Lab { head, session, warden: None });
    let page = serve(lab, port)?;
    cli::complain(format_args!("lab: {page}"));
    loop {
        thread::park();
    }
}

/// Whether strace is there, and may trace.
fn check_strace(strace: &Path) -> anyhow::Result<()> {
    let mut trial = Command::new(strace);
    trial.args(["-qq", "-o", "/dev/null", "-e", "trace=none", "true"]);
    let output = match trial.output() {
        Ok(output) => output,
        Err(error) => anyhow::bail!(
            "cannot run {}: {}\nInstall strace (Debian: apt-get install strace), or name one \
             with --strace. A recording can be opened without it.",
            strace.display(),
            cli::reason(&error),
        ),
    };
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let why = text.lines().next().unwrap_or("it gives no reason");
    anyhow::bail!(
        "strace may not trace here: {why}\n\
         - In a container: start it with --cap-add=SYS_PTRACE.\n\
         - If /proc/sys/kernel/yama/ptrace_scope is 2, be root; if it is 3, nothing helps but a restart.\n\
         - If the lab itself runs under strace or a debugger: start it without.\n\
         A recording can be opened all the same."
    )
}

/// Whether the program can be started. If not, strace would say so, and the lab would show
/// an empty page.
fn check_program(program: &OsStr) -> anyhow::Result<()> {
    let path = Path::new(program);
    let found = if program.as_bytes().contains(&b'/') {
        path.exists().then(|| path.to_owned())
    } else {
        let folders = env::var_os("PATH").unwrap_or_default();
        let mut paths = env::split_paths(&folders).map(|it| it.join(path));
        paths.find(|it| it.is_file())
    };
    let Some(found) = found else {
        anyhow::bail!("there is no program {}", path.display());
    };
    if !found.is_file() || access(&found, AccessFlags::X_OK).is_err() {
        anyhow::bail!("{} is neither a program nor a recording", path.display());
    }
    Ok(())
}
