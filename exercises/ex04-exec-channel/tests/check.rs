//! What your program has to do. `cargo test -p ex04-exec-channel`

use std::time::Duration;

use testkit::{Running, exercise, fds, try_eventually, zombies_of};

/// Far more than anything here takes, also on a busy machine.
const PLENTY: Duration = Duration::from_secs(5);

/// Starts your program. It does these steps, one after another.
#[track_caller]
fn start(steps: &[&str]) -> Running {
    // As if it were itself a child of somebody: a number for it, which means nothing to its children.
    exercise!().args(steps).env("NODE_CHANNEL_FD", "77").start()
}

/// Blocks until your program says `needle`, and returns that line. Where it does not: `hint`.
#[track_caller]
fn line(program: &Running, needle: &str, hint: &str) -> String {
    let known = || program.stdout().contains(needle) || program.output_ended();
    let known = try_eventually(PLENTY, || known().then_some(()));
    assert!(known.is_some(), "{}", silence(program, needle, hint));
    program.wait_for_line(needle)
}

/// What may be wrong with a program that does not say `needle`.
fn silence(program: &Running, needle: &str, hint: &str) -> String {
    let (pid, said) = (program.pid(), program.stdout());
    if said.is_empty() {
        return format!(
            "`spawn` should return once exec has succeeded or failed. For {PLENTY:?} it has not. Your \
             program (pid {pid}) has {} processes below it, and holds {:?}. If `spawn` reads what the \
             child has to tell: who holds the other end, this process too?",
            program.descendants().len(),
            fds(pid)
        );
    }
    if said.contains(" is done\n") {
        return format!(
            "your program (pid {pid}) should come to its end, and another process has:\n{said}\nexec has \
             failed in a child. Where does that child go on?"
        );
    }
    let complaints = program.stderr();
    format!(
        "your program should say '{needle}'. For {PLENTY:?} it has not, and \
         says:\n{said}{complaints}\n{hint}"
    )
}

/// Blocks until your program has done all steps.
#[track_caller]
fn done(program: &Running, hint: &str) {
    line(program, &format!("process {} is done", program.pid()), hint);
}

/// The process id of a child that your program has started, and the number of its channel.
#[track_caller]
fn child(program: &Running, number: usize) -> (i32, i32) {
    let said = line(
        program,
        &format!("child {number} says: "),
        "A child says which descriptor its channel is, as soon as it runs. This one has not: is its end of \
         the channel still open after exec, under the number in NODE_CHANNEL_FD?",
    );
    let channel = said.rsplit(' ').next().and_then(|word| word.parse().ok());
    let said = line(program, &format!("child {number} is process "), "");
    let pid = said.rsplit(' ').next().and_then(|word| word.parse().ok());
    (pid.expect("a process id"), channel.expect("a descriptor"))
}

#[test]
fn the_child_finds_its_channel() {
    let program = start(&["start", "say 1 hello"]);
    done(&program, "Who holds the child's end, and what has become of it in exec?");
    let said = program.stdout();
    assert!(
        said.contains("and have heard 'hello'"),
        "a child that was started and greeted should answer 'hello'. Your program says:\n{said}{}\nIs the \
         channel's end open after exec, and is its number the *only* NODE_CHANNEL_FD in the child's \
         environment? Your program was itself started with one (77), which means nothing to its child. In \
         which order do you set and clear close-on-exec?",
        program.stderr()
    );
}

#[test]
fn the_child_inherits_nothing_else() {
    let program = start(&["start"]);
    let (pid, channel) = child(&program, 1);
    let open = fds(pid);
    let standard = open.iter().filter(|(number, _)| *number < 3).count();
    let extra: Vec<_> = open
        .iter()
        .filter(|(number, _)| *number > 2 && *number != channel)
        .collect();
    assert_eq!(
        standard, 3,
        "the child (pid {pid}) should have its three standard streams. It has {open:?}. Who has closed \
         the others?"
    );
    assert!(
        extra.is_empty(),
        "the child (pid {pid}) should have 0, 1, 2 and its channel, {channel}. It also has {extra:?}. \
         Those on /dev/null were opened in harness.rs, without close-on-exec, and so may any library. A \
         socket is your own. You cannot know all of them: which call marks every descriptor at once?"
    );
}

#[test]
fn the_child_sees_its_parent_close() {
    let program = start(&["start", "close 1"]);
    done(
        &program,
        "The parent has closed its end, and the child should read the end of its channel. It waits. Who \
         else holds the parent's end: the child itself, since fork, or through exec?",
    );
    let said = program.stdout();
    assert!(
        said.contains("child 1 has ended: Ok(Exited(") && said.contains(", 0))"),
        "the child should have ended with code 0 when its channel was closed. Your program \
         says:\n{said}{}\nWhich process has run after the fork, and in which program?",
        program.stderr()
    );
}

#[test]
fn two_children_do_not_hold_each_others_channels() {
    let program = start(&["start", "start", "close 1", "say 2 hello"]);
    done(
        &program,
        "Two children run, and the parent has closed the channel to the first. That waits for the end of \
         its channel. Who else holds the parent's end: a child that was forked while it was open?",
    );
    let (first, _) = child(&program, 1);
    let (second, channel) = child(&program, 2);
    let said = program.stdout();
    assert!(
        said.contains(&format!("I am {second}, and have heard 'hello'"))
            && first != second,
        "the second child (pid {second}) should still answer, on its own channel, when that of the first \
         is closed. Your program says:\n{said}{}\nWhose channel is whose?",
        program.stderr()
    );
    let sockets =
        fds(second).into_iter().filter(|(_, target)| target.starts_with("socket:"));
    let sockets: Vec<_> = sockets.map(|(number, _)| number).collect();
    assert_eq!(
        sockets,
        [channel],
        "the second child (pid {second}) should hold one socket, its channel. On the left are those that \
         it holds. Which of them did your program have when it forked?"
    );
}

#[test]
fn the_parent_sees_its_child_end() {
    let program = start(&["start", "say 1 quit"]);
    done(
        &program,
        "The child has ended, and the parent should read the end of the channel. It waits. A stream ends \
         when its *last* writer has closed it: does the parent still hold the child's end?",
    );
    let said = program.stdout();
    assert!(
        said.contains("child 1 says")
            && said.contains("child 1 has closed its channel"),
        "a child was told to quit, and its channel should have ended after that. Your program \
         says:\n{said}{}",
        program.stderr()
    );
}

#[test]
fn a_program_that_cannot_be_executed_is_an_error() {
    let program = start(&[
        "start /no/such/program",
        "start /etc/passwd",
        "start",
        "say 3 hello",
    ]);
    done(
        &program,
        "How does the parent learn that exec has failed, and that it has not?",
    );
    let said = program.stdout();
    let expected = "cannot start child 1: NotFound\ncannot start child 2: PermissionDenied\nchild 3 is process ";
    assert!(
        said.starts_with(expected),
        "there is no /no/such/program, and /etc/passwd may not be executed. Your program should \
         say:\n{expected}…\nand it says:\n{said}{}\nThe child knows why exec has failed, and the parent \
         has to be told. What could carry one number from the child to the parent, and close by itself \
         when exec succeeds?",
        program.stderr()
    );
    assert_eq!(
        said.matches("is done").count(),
        1,
        "only your program should come to its end, and the end was printed more than once:\n{said}\nexec \
         has failed in a child. Where does that child go on?"
    );
    let zombies = zombies_of(program.pid());
    assert!(
        zombies.is_empty(),
        "exec has failed in two children, and {} of them are zombies: their parent (pid {}) has an error, \
         and no process id. So who can reap them, if not `spawn`?",
        zombies.len(),
        program.pid()
    );
}

#[test]
fn nothing_is_left_in_the_parent() {
    let program =
        start(&["start", "start /no/such/program", "start", "close 1", "close 3"]);
    done(
        &program,
        "A channel was closed, and its child does not end. Who holds the other end?",
    );
    let pid = program.pid();
    let said = program.stdout();
    assert!(
        said.contains("child 1 has ended") && said.contains("child 3 has ended"),
        "two children should have been started, closed and waited for. Your program \
         says:\n{said}{}\nWhich call does not do what it should?",
        program.stderr()
    );
    let open: Vec<_> = fds(pid)
        .into_iter()
        .filter(|(number, target)| *number > 2 && !target.starts_with("/dev/null"))
        .collect();
    assert!(
        open.is_empty(),
        "all channels are closed, and your program (pid {pid}) still holds {open:?}. `spawn` should keep \
         nothing but what it returns, also when it fails. Which of these did it make?"
    );
    let (running, zombies) = (program.children().len(), zombies_of(pid).len());
    assert!(
        running == 0 && zombies == 0,
        "all children have been waited for, and your program (pid {pid}) has {running} children that run \
         and {zombies} zombies. Which fork made them?"
    );
}
