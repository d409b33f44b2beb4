//! What your program has to do. `cargo test -p ex10-self-pipe`

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use testkit::{Running, Signal, cpu_time, exercise, fds, try_eventually};

/// How long your program may take to answer.
const PATIENCE: Duration = Duration::from_secs(6);

/// Your program, and what it reads as its standard input.
struct Loop {
    program: Running,
    stdin: UnixStream,
}

impl Loop {
    #[track_caller]
    fn start() -> Loop {
        let (stdin, theirs) = UnixStream::pair().expect("a pair of sockets");
        let program = exercise!().stdin(OwnedFd::from(theirs)).start();
        let running = Loop { program, stdin };
        running.hears(
            "listening",
            1,
            "`Signals::listen` has not returned. What does it wait for?",
        );
        running
    }

    /// Writes a line to its standard input.
    #[track_caller]
    fn say(&self, line: &str) {
        let said = (&self.stdin).write_all(format!("{line}\n").as_bytes());
        said.unwrap_or_else(|error| {
            panic!("cannot say '{line}': {error}\n{}", self.program.describe())
        });
    }

    /// Waits until it has printed this that often.
    #[track_caller]
    fn hears(&self, what: &str, times: usize, hint: &str) {
        let count = || {
            self.program.stdout().lines().filter(|line| line.contains(what)).count()
        };
        let ended = || !self.program.process().alive();
        try_eventually(PATIENCE, || (count() >= times || ended()).then_some(()));
        // What it has printed last may be on its way.
        let heard = try_eventually(Duration::from_millis(300), || {
            (count() >= times).then_some(())
        });
        let seen = count();
        assert!(
            heard.is_some() && seen == times,
            "'{what}' is expected {times} x, and comes {seen} x. {hint}\n{}",
            self.program.describe()
        );
    }

    /// How often poll(2) has returned, and how often there was no signal to take.
    #[track_caller]
    fn rounds(&self) -> (u64, u64) {
        let asked = self.program.stdout().matches("rounds:").count();
        self.say("rounds");
        self.hears(
            "rounds:",
            asked + 1,
            "Does the loop still hear its standard input?",
        );
        let said = self.program.stdout();
        let line =
            said.lines().rfind(|line| line.contains("rounds:")).unwrap_or_default();
        let mut numbers =
            line.split(&[' ', ',']).filter_map(|word| word.parse().ok());
        let next = "harness.rs prints two numbers";
        (numbers.next().expect(next), numbers.next().expect(next))
    }
}

#[test]
fn signals_and_lines_come_out_of_one_loop_and_the_handler_prints_nothing() {
    let here = Loop::start();
    here.program.signal(Signal::SIGUSR1);
    let hint = "It was sent once, and the loop waits in poll(2). Is the signal caught? What does the \
                handler write, and is `as_fd` the end where that can be read?";
    here.hears("heard SIGUSR1", 1, hint);
    here.say("hello");
    here.hears(
        "you said: hello",
        1,
        "After a signal, the loop does not hear its input any more.",
    );
    here.program.signal(Signal::SIGTERM);
    here.hears("heard SIGTERM", 1, hint);
    here.say("quit");
    let ended = try_eventually(PATIENCE, || here.program.try_wait());
    assert!(
        ended.is_some_and(|it| it.success()),
        "it was told to quit. {}",
        here.program.describe()
    );
    try_eventually(PATIENCE, || here.program.output_ended().then_some(()));
    let (said, complained) = (here.program.stdout(), here.program.stderr());
    assert!(
        said == "listening\nheard SIGUSR1\nyou said: hello\nheard SIGTERM\n"
            && complained.is_empty(),
        "more was printed than harness.rs prints:\n{said}{complained}\nWho does that? In a handler, \
         print! may wait for a lock that the interrupted code holds: signal-safety(7)."
    );
}

#[test]
fn two_signals_while_the_loop_is_busy_are_both_heard_and_once_each() {
    let here = Loop::start();
    here.say("raise SIGUSR1 SIGTERM 3*SIGUSR1");
    here.hears(
        "raised: 5",
        1,
        "The handler has not returned. What does it wait for?",
    );
    let hint = "Five signals came before `take` was called, of two kinds. A signal says: at least \
                once. How do you keep which kinds there were, so that each comes out once?";
    here.hears("heard SIGTERM", 1, hint);
    here.hears("heard SIGUSR1", 1, hint);
}

#[test]
fn a_full_pipe_neither_blocks_the_handler_nor_loses_the_last_signal() {
    let here = Loop::start();
    here.say("raise 100000*SIGUSR1 SIGTERM");
    here.hears(
        "raised: 100001",
        1,
        "While the loop was busy, 100,000 signals came, and the handler has not returned from one of \
         them. Nobody reads meanwhile, and a pipe has room for 65,536 bytes. What does write(2) do \
         then?",
    );
    here.hears(
        "heard SIGTERM",
        1,
        "SIGTERM came last, when the pipe was full. Its byte was lost, as it had to be. Where could \
         the handler note which signal it was, if not in the pipe?",
    );
    here.hears(
        "heard SIGUSR1",
        1,
        "It came 100,000 times before `take` was called: that is once.",
    );
    here.program.signal(Signal::SIGUSR1);
    here.hears(
        "heard SIGUSR1",
        2,
        "The pipe was full once. Was it emptied, to the last byte?",
    );
}

#[test]
fn errno_is_after_the_handler_what_it_was_before() {
    let here = Loop::start();
    here.say("raise 100000*SIGUSR1");
    here.hears(
        "raised: 100000",
        1,
        "Does the handler block when the pipe is full?",
    );
    here.hears(
        "errno was changed: 0",
        1,
        "A signal came between a call and the line that looks at its errno, again and again, and \
         errno was another afterwards. Into a full pipe, write(2) fails, and says so in errno. Who \
         puts back what was there?",
    );
}

#[test]
fn no_signal_is_lost_whatever_it_interrupts() {
    let here = Loop::start();
    here.say("race");
    here.hears(
        "race: ",
        1,
        "A second signal came while `take` looked for the first, and your program hangs. Does the \
         handler wait for something, such as a lock, that `take` held at that moment?",
    );
    assert!(
        here.program.stdout().contains("race: all were heard"),
        "A second signal came while `take` looked for the first. `take` did not return it, and there \
         is nothing in the pipe that would wake the loop for it. Does `take` look for the signals \
         first, and empty the pipe then?\n{}",
        here.program.describe()
    );
}

#[test]
fn an_idle_loop_sleeps() {
    let here = Loop::start();
    let (before, _) = here.rounds();
    here.say("raise 1000*SIGUSR1 SIGTERM");
    here.hears("heard SIGTERM", 1, "It was raised, with 1,000 others before it.");
    let used_before = cpu_time(here.program.pid());
    // There is nothing to wait for: this only lets time pass.
    try_eventually(Duration::from_secs(1), || None::<()>);
    let used = cpu_time(here.program.pid()).saturating_sub(used_before);
    let rounds = here.rounds().0 - before;
    assert!(
        rounds < 10,
        "1,001 signals came at once, and then nothing for 1 s, and the loop went round {rounds} times. \
         poll(2) returns at once for as long as there is something to read. What is left in the pipe \
         after `take`?"
    );
    assert!(
        used < Duration::from_millis(200),
        "in 1 s in which nothing happened, your program has used {used:?} of the processor. What does \
         it do? (It has {} threads.)",
        testkit::threads(here.program.pid())
    );
}

#[test]
fn a_forked_child_does_not_write_into_its_parents_pipe() {
    let here = Loop::start();
    let (_, before) = here.rounds();
    here.say("fork");
    here.hears(
        "a child was sent SIGUSR1",
        1,
        "The child has not ended. Does its handler wait?",
    );
    let (_, after) = here.rounds();
    let hint = "A child that was made by fork(2) was sent SIGUSR1, and its parent heard of it. The \
                child has the handler too, and a copy of the pipe's end. How can a handler know in \
                which process it runs?";
    here.hears("heard SIGUSR1", 0, hint);
    let woken = after - before;
    assert!(
        woken == 0,
        "The parent was woken {woken} x, and there was no signal to take. {hint}"
    );
}

#[test]
fn a_program_that_is_started_does_not_get_the_pipe() {
    let here = Loop::start();
    here.say("start");
    here.hears("started", 1, "It starts `sleep 60`.");
    let said = here.program.stdout();
    let pid =
        said.lines().find_map(|line| line.strip_prefix("started ")?.parse().ok());
    let pid = pid.expect("harness.rs prints the process id");
    // Files it may have opened itself, such as its locale's.
    let is_yours =
        |(number, what): &(i32, String)| *number > 2 && !what.starts_with('/');
    let inherited: Vec<_> = fds(pid).into_iter().filter(is_yours).collect();
    assert!(
        inherited.is_empty(),
        "your program has started another one, and that has inherited {inherited:?}. Which flag closes \
         a descriptor on exec, and can pipe2(2) set it?"
    );
}
