//! What your program has to do. `cargo test -p ex04-exec-channel`

use std::time::Duration;

use testkit::{Running, exercise, fds, fds_in_words, try_eventually, zombies_of};

/// Far more time than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);

/// Starts your program, which does these steps, one after another.
#[track_caller]
fn start(steps: &[&str]) -> Running {
    // As if it were itself a child with a channel: the number means nothing to its children.
    exercise!().args(steps).env("NODE_CHANNEL_FD", "77").start()
}

/// Blocks until your program prints `needle`, and returns that line. The failure adds `hint`.
#[track_caller]
fn line(program: &Running, needle: &str, hint: &str) -> String {
    let known = || program.stdout().contains(needle) || program.output_ended();
    let known = try_eventually(LIMIT, || known().then_some(()));
    assert!(known.is_some(), "{}", silence(program, needle, hint));
    program.wait_for_line(needle)
}

/// What may be wrong with a program that does not print `needle`.
fn silence(program: &Running, needle: &str, hint: &str) -> String {
    let (pid, said) = (program.pid(), program.stdout());
    if said.is_empty() {
        let children = program.children();
        let held = children.first().map(|it| (it.command_line(), fds(it.pid)));
        return format!(
            "`spawn` should return once exec has succeeded or failed. In {LIMIT:?} it has not. \
             If it reads whether exec has failed: which process holds the other end of that \
             stream? Your program (pid {pid}) holds {}. Its child is {}",
            fds_in_words(&fds(pid)),
            match held {
                Some((command, fds)) => {
                    format!("`{command}`, and holds {}.", fds_in_words(&fds))
                }
                None => "not there any more.".to_owned(),
            }
        );
    }
    if said.contains(" is done\n") {
        return format!(
            "your program (pid {pid}) should reach its end, and another process has:\n{said}\n\
             exec has failed in a child. What does that child do then?"
        );
    }
    format!(
        "your program should print '{needle}'. In {LIMIT:?} it has not, and prints:\n{said}{}\n\
         {hint}",
        program.stderr()
    )
}

/// Blocks until your program has done all steps.
#[track_caller]
fn done(program: &Running, hint: &str) {
    line(program, &format!("process {} is done", program.pid()), hint);
}

/// The process id of a child of your program, and the number of its channel.
#[track_caller]
fn child(program: &Running, number: usize) -> (i32, i32) {
    let said = line(
        program,
        &format!("child {number} says: "),
        "A child says which descriptor its channel is, as soon as it runs. This one has not: is \
         its end of the channel still open after exec, under the number in NODE_CHANNEL_FD?",
    );
    let channel = said.rsplit(' ').next().and_then(|word| word.parse().ok());
    let said = line(program, &format!("child {number} is process "), "");
    let pid = said.rsplit(' ').next().and_then(|word| word.parse().ok());
    (pid.expect("a process id"), channel.expect("a descriptor"))
}

#[test]
fn the_child_finds_its_channel() {
    let program = start(&["start", "say 1 hello"]);
    done(&program, "What has become of the child's end of the channel in exec?");
    let said = program.stdout();
    assert!(
        said.contains("and received 'hello'"),
        "a child was sent 'hello', and should answer. Your program says:\n{said}{}\nIs its end of \
         the channel open after exec, and is its number the *only* NODE_CHANNEL_FD in the \
         child's environment? Your program was itself started with one (77), which means nothing \
         to its child. In which order do you set and clear close-on-exec?",
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
        .cloned()
        .collect();
    assert_eq!(
        standard,
        3,
        "the child (pid {pid}) should have its three standard streams. It has {}. Which call has \
         closed the others?",
        fds_in_words(&open)
    );
    assert!(
        extra.is_empty(),
        "the child (pid {pid}) should have 0, 1, 2 and its channel, {channel}. It also has \
         {}. Those on /dev/null were opened in harness.rs, without close-on-exec, as any \
         library may do it. A socket is yours. You cannot know all of them: which call marks \
         every descriptor at once?",
        fds_in_words(&extra)
    );
}

#[test]
fn the_rest_of_the_environment_is_the_parents() {
    let program = exercise!().arg("start").env("GREETING", "good morning").start();
    let (pid, channel) = child(&program, 1);
    let environment = std::fs::read(format!("/proc/{pid}/environ"));
    let environment = environment.unwrap_or_default();
    let has = |variable: &str| {
        environment.split(|byte| *byte == 0).any(|it| it == variable.as_bytes())
    };
    assert!(
        has("GREETING=good morning") && has(&format!("NODE_CHANNEL_FD={channel}")),
        "your program was started with GREETING=good morning in its environment. Its child \
         (pid {pid}) should have that variable, and NODE_CHANNEL_FD={channel}. Which environment \
         do you give to execve(2)?\n{}",
        program.describe()
    );
}

#[test]
fn the_child_sees_its_parent_close() {
    let program = start(&["start", "close 1"]);
    done(
        &program,
        "The parent has closed its end, and the child should read the end of its channel. It \
         waits. Which process has a copy of the parent's end: the child itself, since fork?",
    );
    let said = program.stdout();
    assert!(
        said.contains("child 1 has exited: code 0\n"),
        "the child should have exited with code 0 when its channel was closed. Your program \
         says:\n{said}{}\nWhich program has the child run after the fork?",
        program.stderr()
    );
}

#[test]
fn two_children_do_not_hold_each_others_channels() {
    let program = start(&["start", "start", "close 1", "say 2 hello"]);
    done(
        &program,
        "Two children run, and the parent has closed the channel to the first, which waits for \
         the end of its channel. Does another process hold the parent's end: a child that was \
         forked while it was open?",
    );
    let (first, _) = child(&program, 1);
    let (second, channel) = child(&program, 2);
    let said = program.stdout();
    assert!(
        said.contains(&format!("I am {second}, and received 'hello'"))
            && first != second,
        "the second child (pid {second}) should still answer, on its own channel, when that of the \
         first is closed. Your program says:\n{said}{}\nWhich child has which channel?",
        program.stderr()
    );
    let sockets =
        fds(second).into_iter().filter(|(_, target)| target.starts_with("socket:"));
    let sockets: Vec<_> = sockets.map(|(number, _)| number).collect();
    assert_eq!(
        sockets,
        [channel],
        "the second child (pid {second}) should hold one socket, its channel. On the left are those \
         that it holds. Which of them did your program have when it forked?"
    );
}

#[test]
fn the_parent_sees_its_child_exit() {
    let program = start(&["start", "say 1 quit"]);
    done(
        &program,
        "The child has exited, and the parent should read the end of the channel. It waits. A \
         stream ends when its *last* writer has closed it: does the parent still hold the child's \
         end?",
    );
    let said = program.stdout();
    assert!(
        said.contains("child 1 says")
            && said.contains("child 1 has closed its channel"),
        "a child was told to quit, and its channel should have ended then. Your program \
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
    done(&program, "How does the parent learn whether exec has failed?");
    let said = program.stdout();
    let expected = "cannot start child 1: NotFound\ncannot start child 2: PermissionDenied\nchild 3 is process ";
    assert!(
        said.starts_with(expected),
        "there is no /no/such/program, and /etc/passwd may not be executed. Your program should \
         say:\n{expected}…\nand it says:\n{said}{}\nThe child knows why exec has failed, and the \
         parent needs to know. What could carry one number from the child to the parent, and \
         close by itself if exec succeeds?",
        program.stderr()
    );
    assert_eq!(
        said.matches("is done").count(),
        1,
        "only your program should reach its end, and the end was printed more than once:\n{said}\n\
         exec has failed in a child. What does that child do then?"
    );
    // The third child did execute its program. If it has exited, that is another matter.
    let (third, _) = child(&program, 3);
    let zombies = zombies_of(program.pid()).into_iter();
    let zombies = zombies.filter(|zombie| zombie.pid != third).count();
    assert!(
        zombies == 0,
        "exec has failed in two children, and {zombies} of them are zombies: their parent (pid {}) \
         has an error and no process id. So which function must reap them, if not `spawn`?",
        program.pid()
    );
}

#[test]
fn nothing_is_left_in_the_parent() {
    let program =
        start(&["start", "start /no/such/program", "start", "close 1", "close 3"]);
    done(
        &program,
        "A channel was closed, and its child does not exit. Which process holds the other end?",
    );
    let pid = program.pid();
    let said = program.stdout();
    assert!(
        said.contains("child 1 has exited") && said.contains("child 3 has exited"),
        "two children should have been started, disconnected and reaped. Your program \
         says:\n{said}{}\nWhich call does not do what it should?",
        program.stderr()
    );
    let open: Vec<_> = fds(pid)
        .into_iter()
        .filter(|(number, target)| *number > 2 && !target.starts_with("/dev/null"))
        .collect();
    assert!(
        open.is_empty(),
        "all channels are closed, and your program (pid {pid}) still holds {}. `spawn` should \
         keep nothing but what it returns, even if it fails. Which of these did it make?",
        fds_in_words(&open)
    );
    let (running, zombies) = (program.children().len(), zombies_of(pid).len());
    assert!(
        running == 0 && zombies == 0,
        "all children have been reaped, and your program (pid {pid}) has {running} children that \
         run and {zombies} zombies. Which fork made them?"
    );
}
