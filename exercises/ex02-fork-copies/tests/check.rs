//! What your program has to do. `cargo test -p ex02-fork-copies`

use std::time::Duration;

use testkit::{
    Running, exercise, fds, fds_in_words, temp_dir, try_eventually, zombies_of,
};

/// Far more time than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);

/// Five records: your program reads the last one, and the copy after it finds nothing.
const WORDS: [&str; 5] = ["one", "two", "six", "ten", "all"];

/// Runs your program until it says that it is done. The process id tells it from a copy
/// that says the same.
#[track_caller]
fn run(args: &[&str]) -> Running {
    let program = exercise!().args(args).start();
    let done = format!("process {} is done\n", program.pid());
    let known = || program.stdout().contains(&done) || program.output_ended();
    assert!(
        try_eventually(LIMIT, || known().then_some(())).is_some(),
        "`{}`: your program (pid {}) should be done within {LIMIT:?}, and is not. {}\nIts output \
         so far:\n{}{}",
        args.join(" "),
        program.pid(),
        why_it_hangs(&program),
        program.stdout(),
        program.stderr()
    );
    program.wait_for_line(done.trim_end());
    program
}

fn why_it_hangs(program: &Running) -> &'static str {
    if program.stdout().contains(" is done\n") {
        "Another process has reached its end: a copy that continues in your program. How does \
         the copy exit?"
    } else if !zombies_of(program.pid()).is_empty() {
        "Its copy has exited and is not reaped yet. If your program still reads from the pipe: \
         which process holds the writing end?"
    } else if !program.children().is_empty() {
        "Its copy still runs. Does your program wait until the copy exits, while the copy waits \
         for room in a full pipe (64 KiB)? Or does the copy never exit?"
    } else {
        "It has no child. What does it wait for?"
    }
}

/// A line that `read_in_turns` has returned: `4312 one 1`.
struct Reading {
    pid: i32,
    word: String,
    count: u32,
}

/// Lets your program read `words` in turns: the program, and what was read.
#[track_caller]
fn turns(words: &[&str]) -> (Running, Vec<Reading>) {
    let dir = temp_dir();
    let text: String = words.iter().map(|word| format!("{word}\n")).collect();
    let file = dir.write("records", text);
    let program = run(&["turns", file.to_str().expect("a path in UTF-8")]);
    let said = program.stdout();
    let lines = said
        .lines()
        .filter(|line| !line.contains("begin") && !line.contains("is done"));
    let readings = lines.map(|line| {
        reading(line).unwrap_or_else(|| {
            panic!(
                "a line should be a process id, a word and a count, like `4312 one 1`; \
                 yours is `{line}`"
            )
        })
    });
    let readings = readings.collect();
    (program, readings)
}

fn reading(line: &str) -> Option<Reading> {
    let mut parts = line.split(' ');
    let (pid, word, count) = (parts.next()?, parts.next()?, parts.next()?);
    let reading = Reading {
        pid: pid.parse().ok()?,
        word: word.to_owned(),
        count: count.parse().ok()?,
    };
    parts.next().is_none().then_some(reading)
}

#[test]
fn a_long_text_arrives_whole() {
    let program = run(&["report", "300000"]);
    let said = program.stdout();
    assert!(
        said.contains("the copy has returned 300000 bytes\n"),
        "a copy returns a text of 300000 bytes. Your program says:\n{said}\nA pipe holds \
         64 KiB, and one read(2) returns what is in it at that moment. When has the reader \
         read everything?"
    );
}

#[test]
fn a_copy_that_fails_is_an_error() {
    for how in ["panic", "abort"] {
        let program = run(&[how]);
        let said = program.stdout();
        assert_eq!(
            said.matches("begin").count(),
            1,
            "`{how}`: the copy fails, and `begin, ` is printed more than once:\n{said}\nA panic \
             goes up through its callers, to main, and the end of main prints what is in \
             buffers. What stops a panic before that, in the copy?"
        );
        assert!(
            said.contains("error: "),
            "`{how}`: the copy has not exited with code 0, so `in_a_copy` should return an \
             error. Your program says:\n{said}\nWhat does waitpid(2) tell about the copy?"
        );
    }
}

#[test]
fn each_record_is_read_once() {
    for words in [&WORDS[..], &WORDS[..4], &WORDS[..1], &[]] {
        let (_program, readings) = turns(words);
        let read: Vec<&str> = readings.iter().map(|it| it.word.as_str()).collect();
        assert_eq!(
            read, words,
            "the file has the records on the right, and the readers together have read those \
             on the left. fork does not copy the position in an open file: all copies share \
             it. What was read ahead is in memory, and memory *is* copied. Does a BufReader \
             read ahead? Or is the file opened a second time, with a position of its own?"
        );
    }
}

#[test]
fn this_process_and_its_copies_take_turns() {
    let (program, readings) = turns(&WORDS);
    let pids: Vec<i32> = readings.iter().map(|it| it.pid).collect();
    let me = program.pid();
    assert_eq!(
        pids.len(),
        WORDS.len(),
        "there should be a line for each record: {WORDS:?}"
    );
    for (place, pid) in pids.iter().enumerate() {
        let by_parent = *pid == me;
        assert_eq!(
            by_parent,
            place % 2 == 0,
            "your program is process {me}. It should read the first record, the third, and so \
             on, and copies of it those between. The readers were {pids:?}. In which process \
             does each call of read(2) happen?"
        );
    }
    assert_ne!(
        pids[1], pids[3],
        "two copies should read the second and the fourth record, and process {} has read \
         both. Is there a fork for each?",
        pids[1]
    );
}

#[test]
fn a_copy_counts_in_its_own_memory() {
    let (_program, readings) = turns(&WORDS);
    let counts: Vec<u32> = readings.iter().map(|it| it.count).collect();
    assert_eq!(
        counts,
        [1, 2, 2, 3, 3],
        "your program has counted as on the left. A copy begins with the count that your \
         program has at that moment, and adds one for its own record. Your program never sees \
         that, because memory is copied. So the counts should be as on the right. Which \
         process adds to which variable, and when?"
    );
}

#[test]
fn what_is_in_a_buffer_is_printed_once() {
    let (program, _) = turns(&WORDS);
    let said = program.stdout();
    assert!(
        said.starts_with("begin, end\n") && said.matches("begin").count() == 1,
        "when your functions fork, `begin, ` is in a buffer of your program. It should be \
         printed once; it was printed {} times:\n{said}\nThe copy has a copy of that buffer. \
         How does the copy exit: does it return, or call process::exit, which prints what is \
         in buffers?",
        said.matches("begin").count()
    );
}

#[test]
fn no_process_and_no_descriptor_is_left() {
    let (program, _) = turns(&WORDS);
    let pid = program.pid();
    // A copy that was not waited for may still run now; it exits soon.
    try_eventually(LIMIT, || program.children().is_empty().then_some(()));
    let (running, zombies) = (program.children().len(), zombies_of(pid).len());
    assert!(
        running == 0 && zombies == 0,
        "your program (pid {pid}) is done. Of its copies, {running} still run after {LIMIT:?}, \
         and {zombies} are zombies. Is there a waitpid(2) for each copy?"
    );
    let open: Vec<_> =
        fds(pid).into_iter().filter(|(number, _)| *number > 2).collect();
    assert!(
        open.is_empty(),
        "your program (pid {pid}) is done, and still holds these descriptors: {}. What \
         owns them? An OwnedFd or a File closes its descriptor when it is dropped; a bare \
         number is never closed.",
        fds_in_words(&open)
    );
}
