//! Checks an exercise whenever its file is saved.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use cli::say;

use crate::check::{Failure, first_failure};
use crate::course::{Course, Exercise};
use crate::lab;
use crate::list;
use crate::progress::Progress;

/// How often the file is looked at.
const PAUSE: Duration = Duration::from_millis(200);

/// Ctrl-C: in the mode that [`KeyMode`] sets, the terminal sends it as a byte.
const CTRL_C: u8 = 3;

const KEYS: &str = "h hint   r run again   n next exercise   l list   q quit";

/// Shows the first failing test of the current exercise each time that its file is saved.
/// Begins with `first`, or else with the first exercise that is not solved.
pub fn run(course: &Course, first: Option<Exercise>) -> anyhow::Result<ExitCode> {
    let exercises = course.exercises()?;
    let first =
        first.and_then(|it| exercises.iter().position(|other| *other == it));
    let (sender, events) = channel();
    let _mode = KeyMode::set();
    read_keys(sender.clone());
    let mut watch = Watch {
        course: course.clone(),
        progress: Progress::of(course),
        current: first,
        exercises,
        passes_over_solved: first.is_none(),
        stamp: None,
        checking: false,
        again: false,
        hints: 0,
        sender,
    };
    match first {
        Some(_) => watch.check(),
        None => watch.move_on(0),
    }
    while watch.current.is_some() {
        match events.recv_timeout(PAUSE) {
            Ok(Event::Key(b'q' | CTRL_C)) => break,
            Ok(Event::Key(key)) => watch.on_key(key)?,
            Ok(Event::Checked(failure)) => watch.on_checked(failure)?,
            Err(RecvTimeoutError::Timeout) => watch.on_save(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(ExitCode::SUCCESS)
}

enum Event {
    Key(u8),
    /// A check has ended: what failed, if anything did.
    Checked(Option<Failure>),
}

struct Watch {
    course: Course,
    progress: Progress,
    exercises: Vec<Exercise>,
    /// Which exercise is shown; `None` once all are solved.
    current: Option<usize>,
    /// Whether an exercise that turns out to be solved is passed over. Only until a failure
    /// is shown: after that, the user says when to move on.
    passes_over_solved: bool,
    /// The state of the file when its last check began.
    stamp: Option<Stamp>,
    checking: bool,
    /// Whether to check once more when the running check has ended.
    again: bool,
    /// How many hints were shown.
    hints: usize,
    sender: Sender<Event>,
}

/// What changes when a file is saved: the time and the length.
type Stamp = (SystemTime, u64);

impl Watch {
    fn exercise(&self) -> Option<&Exercise> {
        self.exercises.get(self.current?)
    }

    /// Shows the first unsolved exercise from `place` on; after the last comes the first.
    fn move_on(&mut self, place: usize) {
        let count = self.exercises.len();
        let places = (place..count).chain(0..place);
        let unsolved =
            |place: &usize| !self.progress.is_solved(&self.exercises[*place]);
        self.current = places.into_iter().find(unsolved);
        self.hints = 0;
        match self.current {
            Some(_) => self.check(),
            None => say("\nAll exercises are solved."),
        }
    }

    /// Starts a check in a thread of its own, so that keys have an effect meanwhile. Only
    /// one check runs at a time.
    fn check(&mut self) {
        let Some(exercise) = self.exercise().cloned() else { return };
        if self.checking {
            self.again = true;
            return;
        }
        self.checking = true;
        self.stamp = self.stamp_now();
        say(format_args!("\nchecking {} …", exercise.name));
        let (root, sender) = (self.course.root.clone(), self.sender.clone());
        thread::spawn(move || {
            let failure = first_failure(&root, &exercise.name);
            let _ = sender.send(Event::Checked(failure));
        });
    }

    fn on_save(&mut self) {
        // An editor may write a new file and rename it: for a moment there is none.
        let now = self.stamp_now();
        if now.is_some() && now != self.stamp {
            self.check();
        }
    }

    fn stamp_now(&self) -> Option<Stamp> {
        let file = fs::metadata(self.course.solution(self.exercise()?)).ok()?;
        Some((file.modified().ok()?, file.len()))
    }

    fn on_checked(&mut self, failure: Option<Failure>) -> anyhow::Result<()> {
        self.checking = false;
        let (Some(place), Some(exercise)) =
            (self.current, self.exercise().cloned())
        else {
            return Ok(());
        };
        if std::mem::take(&mut self.again) || self.stamp != self.stamp_now() {
            // The file has changed meanwhile, or another exercise is shown.
            self.check();
            return Ok(());
        }
        match failure {
            Some(failure) => {
                self.passes_over_solved = false;
                self.show(&exercise, &failure);
            }
            None => {
                self.progress.record(&exercise)?;
                if self.passes_over_solved {
                    self.move_on(place);
                } else {
                    self.show_solved(&exercise);
                }
            }
        }
        Ok(())
    }

    fn show(&self, exercise: &Exercise, failure: &Failure) {
        clear_screen();
        say(format_args!("Exercise {}", self.course.title(exercise)));
        say(format_args!("{}\n", self.bar()));
        say(format_args!("{}:\n{}\n", failure.test, failure.message));
        let name = &exercise.name;
        say(format_args!("It is checked again when you save"));
        say(format_args!("  exercises/{name}/{}", Exercise::SOLUTION));
        say(format_args!("What to do: exercises/{name}/README.md"));
        say(format_args!("{}\n{KEYS}", lab::hint(exercise)));
    }

    fn show_solved(&self, exercise: &Exercise) {
        clear_screen();
        say(format_args!("{}: all tests pass.", exercise.name));
        say(format_args!("{}\n\n{KEYS}", self.bar()));
    }

    /// `[######---------] 6 of 15`
    fn bar(&self) -> String {
        let (solved, all) =
            (self.progress.count(&self.exercises), self.exercises.len());
        let (done, open) = ("#".repeat(solved), "-".repeat(all - solved));
        format!("[{done}{open}] {solved} of {all}")
    }

    fn on_key(&mut self, key: u8) -> anyhow::Result<()> {
        match key {
            b'h' => self.show_hint(),
            b'r' => self.check(),
            b'n' => {
                self.passes_over_solved = true;
                self.move_on(self.current.map_or(0, |place| place + 1));
            }
            b'l' => drop(list::run(&self.course)?),
            _ => {}
        }
        Ok(())
    }

    /// Shows the next hint of the exercise's page in the book.
    fn show_hint(&mut self) {
        let Some(exercise) = self.exercise() else { return };
        match self.course.hints(exercise) {
            Ok(hints) => match hints.get(self.hints) {
                Some(hint) => say(format_args!("\n{hint}")),
                None => say("\nThere are no more hints."),
            },
            Err(error) => say(format_args!("\nThere are no hints: {error:#}")),
        }
        self.hints += 1;
    }
}

/// Reads keys in a thread of its own, which blocks until the next one.
fn read_keys(sender: Sender<Event>) {
    thread::spawn(move || {
        for key in io::stdin().lock().bytes().map_while(Result::ok) {
            if sender.send(Event::Key(key)).is_err() {
                return;
            }
        }
    });
}

fn clear_screen() {
    if io::stdout().is_terminal() {
        print!("\x1b[2J\x1b[H");
    }
}

/// The terminal delivers each key at once and shows none, until this is dropped.
///
/// Without a terminal, or without stty(1), nothing changes: then a key needs Enter.
struct KeyMode {
    before: Option<String>,
}

impl KeyMode {
    fn set() -> KeyMode {
        let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        let before = is_terminal.then(|| stty(&["-g"])).flatten();
        if before.is_some() {
            stty(&["-icanon", "-echo", "-isig", "min", "1", "time", "0"]);
        }
        KeyMode { before }
    }
}

impl Drop for KeyMode {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            stty(&[before]);
        }
    }
}

/// What stty(1) prints about our standard input; `None` if it fails.
fn stty(arguments: &[&str]) -> Option<String> {
    let mut stty = Command::new("stty");
    let output = stty.args(arguments).stdin(Stdio::inherit()).output().ok()?;
    let printed = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| printed.trim().to_owned())
}
