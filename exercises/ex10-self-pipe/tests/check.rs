//! What your program has to do. `cargo test -p ex10-self-pipe`

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use testkit::{
    Running, Signal, cpu_time, exercise, fds, fds_in_words, try_eventually,
};

/// How long your program may take to print a line.
const LIMIT: Duration = Duration::from_secs(8);

/// How long 5,000 rounds of `race` may take. Each waits for a timer: half a second in
/// all, and many times that on a busy machine.
const RACE_LIMIT: Duration = Duration::from_secs(20);

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
        running.prints(
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

    /// Waits until so many of its lines contain this.
    #[track_caller]
    fn prints(&self, what: &str, times: usize, hint: &str) {
        self.prints_within(LIMIT, what, times, hint);
    }

    /// As [`prints`](Loop::prints), within another time.
    #[track_caller]
    fn prints_within(&self, limit: Duration, what: &str, times: usize, hint: &str) {
        let count = || {
            self.program.stdout().lines().filter(|line| line.contains(what)).count()
        };
        let over = || count() >= times || self.program.output_ended();
        try_eventually(limit, || over().then_some(()));
        // A line too many may follow.
        try_eventually(Duration::from_millis(100), || {
            (count() > times).then_some(())
        });
        let seen = count();
        assert!(
            seen == times,
            "'{what}' should be printed {times} x within {limit:?}, and was printed {seen} x. \
             {hint}\n{}",
            self.program.describe()
        );
    }

    /// How often poll(2) has returned, and how often `take` had no signal then.
    #[track_caller]
    fn rounds(&self) -> (u64, u64) {
        let asked = self.program.stdout().matches("rounds:").count();
        self.say("rounds");
        self.prints(
            "rounds:",
            asked + 1,
            "Does the loop still read its standard input?",
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
    let hint = "It was sent once, while the loop waited in poll(2). Does the signal have a \
                handler? What does the handler write, and is `as_fd` the end where that can \
                be read?";
    here.prints("received SIGUSR1: 1", 1, hint);
    here.say("hello");
    here.prints(
        "you said: hello",
        1,
        "After a signal, the loop does not read its input any more.",
    );
    here.program.signal(Signal::SIGTERM);
    here.prints("received SIGTERM: 1", 1, hint);
    here.say("quit");
    let exited = try_eventually(LIMIT, || here.program.try_wait());
    assert!(
        exited.is_some_and(|it| it.success()),
        "it was told to quit, and should exit with code 0 within {LIMIT:?}. {}",
        here.program.describe()
    );
    try_eventually(LIMIT, || here.program.output_ended().then_some(()));
    let (stdout, stderr) = (here.program.stdout(), here.program.stderr());
    assert!(
        stdout
            == "listening\nreceived SIGUSR1: 1\nyou said: hello\nreceived SIGTERM: 1\n"
            && stderr.is_empty(),
        "more was printed than harness.rs prints:\n{stdout}{stderr}\nDoes the handler print? \
         print! may wait for a lock that the interrupted code holds: signal-safety(7)."
    );
}

#[test]
fn signals_that_arrive_while_the_loop_is_busy_are_counted() {
    let here = Loop::start();
    here.say("raise SIGUSR1 SIGTERM 3*SIGUSR1");
    here.prints(
        "raised: 5",
        1,
        "The handler has not returned. What does it wait for?",
    );
    let hint = "Five signals of two kinds arrived before `take` was called. Where does the \
                handler note how often each kind has arrived?";
    here.prints("received SIGTERM: 1", 1, hint);
    here.prints("received SIGUSR1: 4", 1, hint);
    here.say("raise SIGUSR1");
    here.prints(
        "received SIGUSR1: 1",
        1,
        "It was raised once since the last `take`. Does `take` begin to count again at 0?",
    );
}

#[test]
fn a_full_pipe_neither_blocks_the_handler_nor_loses_a_signal() {
    let here = Loop::start();
    here.say("raise 5000*SIGUSR1 SIGTERM");
    here.prints(
        "raised: 5001",
        1,
        "While the loop was busy, 5,000 signals arrived, and the handler has not returned \
         from one of them. The loop does not read meanwhile, and the pipe is full: a pair of \
         sockets holds 278 such bytes, and a pipe 4,096, because harness.rs has made it small. \
         What does write(2) do then?",
    );
    here.prints(
        "received SIGTERM: 1",
        1,
        "SIGTERM arrived last, when the pipe was full, so its byte was lost. Where could the \
         handler note which signal it was, if not in the pipe?",
    );
    here.prints(
        "received SIGUSR1: 5000",
        1,
        "It was raised 5,000 times before `take` was called, and most of its bytes were lost. \
         What do you count, the bytes in the pipe?",
    );
    here.program.signal(Signal::SIGUSR1);
    here.prints(
        "received SIGUSR1: 1",
        1,
        "The pipe was full, and now a signal does not wake the loop. Was the pipe emptied, to \
         the last byte?",
    );
}

#[test]
fn errno_is_after_the_handler_what_it_was_before() {
    let here = Loop::start();
    here.say("raise 5000*SIGUSR1");
    here.prints("raised: 5000", 1, "Does the handler block if the pipe is full?");
    here.prints(
        "errno was changed: 0",
        1,
        "A signal arrived between a call and the line that looks at its errno, again and \
         again, and errno was another afterwards. If the pipe is full, write(2) fails, and sets \
         errno. What restores the value that was there?",
    );
}

#[test]
fn no_signal_is_lost_whatever_it_interrupts() {
    let here = Loop::start();
    here.say("race");
    here.prints_within(
        RACE_LIMIT,
        "race: ",
        1,
        "A second signal arrived while `take` looked for the first, and your program hangs. \
         Does the handler wait for something, such as a lock, that `take` held at that moment?",
    );
    assert!(
        here.program.stdout().contains("race: 5000 of 5000 were counted"),
        "A second signal arrived while `take` looked for the first. Either `take` did not \
         return it, and there is nothing in the pipe that would wake the loop for it: does \
         `take` look at the counts first, and empty the pipe then? Or a count was read and set \
         to 0 in two steps, and the signal arrived between them.\n{}",
        here.program.describe()
    );
}

#[test]
fn an_idle_loop_sleeps() {
    let here = Loop::start();
    let (before, _) = here.rounds();
    here.say("raise 1000*SIGUSR1 SIGTERM");
    here.prints(
        "received SIGTERM: 1",
        1,
        "It was raised after 1,000 other signals, and the pipe may have been full by then. Does \
         the handler block, or was the signal known only to a byte that did not fit?",
    );
    let used_before = cpu_time(here.program.pid());
    // There is nothing to wait for: this only lets time pass.
    try_eventually(Duration::from_secs(1), || None::<()>);
    let used = cpu_time(here.program.pid()).saturating_sub(used_before);
    let rounds = here.rounds().0 - before;
    assert!(
        rounds < 10,
        "1,001 signals arrived at once, and then nothing for 1 s, and poll(2) has returned \
         {rounds} times. It returns at once for as long as there is something to read. What is \
         left in the pipe after `take`?"
    );
    assert!(
        used < Duration::from_millis(200),
        "in 1 s in which nothing happened, your program has used {used:?} of processor time. \
         What does it do? (It has {} threads.)",
        testkit::threads(here.program.pid())
    );
}

#[test]
fn a_forked_child_does_not_write_to_its_parents_pipe() {
    let here = Loop::start();
    let (_, before) = here.rounds();
    here.say("fork");
    here.prints(
        "a child has raised SIGUSR1",
        1,
        "The child has not exited. Does its handler wait?",
    );
    let (_, after) = here.rounds();
    let hint = "A child that was made with fork(2) has raised SIGUSR1, and its parent was \
                woken. The child has the handler too, and a copy of the pipe's end. How can the \
                handler know in which process it runs?";
    here.prints("received SIGUSR1", 0, hint);
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
    here.prints("started", 1, "It starts `sleep 60`.");
    let said = here.program.stdout();
    let pid =
        said.lines().find_map(|line| line.strip_prefix("started ")?.parse().ok());
    let pid = pid.expect("harness.rs prints the process id");
    // It may have opened files itself, such as its locale's.
    let is_yours =
        |(number, what): &(i32, String)| *number > 2 && !what.starts_with('/');
    let inherited: Vec<_> = fds(pid).into_iter().filter(is_yours).collect();
    assert!(
        inherited.is_empty(),
        "your program has started another one, which has inherited {}. Which flag \
         closes a descriptor on exec, and can pipe2(2) set it?",
        fds_in_words(&inherited)
    );
}
