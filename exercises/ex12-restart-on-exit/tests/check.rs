//! What your program has to do. `cargo test -p ex12-restart-on-exit`

use std::fs::{Permissions, remove_file, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::{
    Process, Program, Running, Signal, assert_all_gone, cpu_time, exercise, fds,
    temp_dir, try_eventually, zombies_of,
};

/// How long we wait for what should happen at once. Long, because the machine may
/// be busy.
const SOON: Duration = Duration::from_secs(6);

/// For what must not happen: how long we look.
const A_WHILE: Duration = Duration::from_millis(300);

/// A pause that no test sees the end of.
const FOR_EVER: &str = "600000";

fn parent(args: &[&str]) -> Program {
    exercise!().args(args)
}

/// Starts your program, and returns once each of these workers was ready.
#[track_caller]
fn serving(args: &[&str], names: &[&str]) -> Running {
    let server = parent(args).start();
    for name in names {
        let hint = "Each name gets a worker at once. Nothing has to happen before.";
        wait_for_ready(&server, name, 1, hint);
    }
    server
}

/// When the workers with this name were started, in milliseconds: they print it.
fn starts(server: &Running, name: &str) -> Vec<u64> {
    let text = server.stdout();
    let lines = text.split_inclusive('\n');
    let starts = lines.filter_map(|line| {
        let (worker, time) =
            line.strip_suffix(" ms\n")?.split_once(" starts at ")?;
        (worker.split_once(' ')?.0 == name).then(|| time.parse().ok())?
    });
    starts.collect()
}

/// The name of a worker, by its process id.
fn name_of(server: &Running, worker: &Process) -> Option<String> {
    let text = server.stdout();
    let start = format!(" {} starts at ", worker.pid);
    let line = text.lines().find(|line| line.contains(&start))?;
    Some(line.split_once(' ')?.0.to_owned())
}

fn ready_count(server: &Running, name: &str) -> usize {
    let text = server.stdout();
    let is_its = |line: &&str| {
        line.ends_with(" is ready") && line.split(' ').next() == Some(name)
    };
    text.lines().filter(is_its).count()
}

#[track_caller]
fn wait_for_starts(server: &Running, name: &str, count: usize, hint: &str) {
    let look = || starts(server, name).len();
    wait_for(server, name, count, "started", hint, look);
}

#[track_caller]
fn wait_for_ready(server: &Running, name: &str, count: usize, hint: &str) {
    wait_for(server, name, count, "ready", hint, || ready_count(server, name));
}

#[track_caller]
fn wait_for(
    server: &Running,
    name: &str,
    count: usize,
    what: &str,
    hint: &str,
    look: impl Fn() -> usize,
) {
    // When the parent and all its workers have exited, nothing more is printed.
    let over = || server.try_wait().is_some() && server.output_ended();
    let began = Instant::now();
    let _ = try_eventually(SOON, || (look() >= count || over()).then_some(()));
    assert!(
        look() >= count,
        "of the workers with the name `{name}`, {count} should be {what} by now, one after \
         another. In {:.1?} ({SOON:?}, or longer if the machine is busy) it was {}. {hint}\n{}",
        began.elapsed(),
        look(),
        server.describe()
    );
}

/// Kills the worker with this name.
#[track_caller]
fn kill(server: &Running, name: &str) -> Process {
    let its =
        |worker: &Process| name_of(server, worker).is_some_and(|it| it == name);
    let victim = server.children().into_iter().rev().find(its);
    let Some(victim) = victim.filter(|it| it.signal(Signal::SIGKILL)) else {
        panic!(
            "the worker `{name}` was ready, and should run until it is killed; but no child of \
             your program has this name.\n{}",
            server.describe()
        );
    };
    let _ = try_eventually(SOON, || (!victim.alive()).then_some(()));
    victim
}

/// Fails if your program uses the processor while nothing happens.
#[track_caller]
fn assert_sleeps(server: &Running, when: &str, hint: &str) {
    // A busy machine gives even a program that never sleeps little time, but some.
    let spins = (0..3).all(|_| {
        let before = cpu_time(server.pid());
        sleep(A_WHILE);
        cpu_time(server.pid()) > before
    });
    assert!(
        !spins,
        "{when}. Nothing happens, and your program has used processor time in each of three \
         times {A_WHILE:?}. {hint}"
    );
}

#[test]
fn each_worker_that_is_killed_is_replaced_once() {
    let server = serving(&["web=good", "mail=good"], &["web", "mail"]);
    for round in 1..=3 {
        kill(&server, "web");
        let hint = "`web` was killed. Which event reports that?";
        wait_for_ready(&server, "web", 1 + round, hint);
    }
    kill(&server, "web");
    kill(&server, "mail");
    for (name, count) in [("web", 5), ("mail", 2)] {
        wait_for_ready(&server, name, count, "Both workers were killed at once.");
    }
    // A second replacement would start now.
    sleep(A_WHILE);
    let started = [starts(&server, "web").len(), starts(&server, "mail").len()];
    let (alive, zombies) =
        (server.children().len(), zombies_of(server.pid()).len());
    assert_eq!(
        (started, alive, zombies),
        ([5, 2], 2, 0),
        "`web` was killed 4 times and `mail` once: so 5 and 2 workers are started in all, 2 of \
         them live, and no zombie is left. Yours: [web, mail], living, zombies are on the \
         left. One exit is reported by several events: for how many of them do you start a \
         worker?"
    );
}

#[test]
fn a_worker_that_closes_its_channel_and_runs_on_is_not_replaced() {
    let server = serving(&["web=hangs-up"], &["web"]);
    let second = try_eventually(A_WHILE, || {
        (starts(&server, "web").len() > 1).then_some(())
    });
    assert!(
        second.is_none(),
        "the worker has closed its channel and runs on, and your program has started a second \
         one. `Disconnect` says that the channel is closed. Which event says that a worker has \
         exited?"
    );
    kill(&server, "web");
    let hint = "The worker had closed its channel, and was killed later.";
    wait_for_starts(&server, "web", 2, hint);
}

#[test]
fn a_worker_that_leaves_a_helper_is_replaced_when_it_exits() {
    let server = serving(&["web=has-helper"], &["web"]);
    let before = fds(server.pid()).len();
    for round in 1..=3 {
        kill(&server, "web");
        wait_for_ready(
            &server,
            "web",
            1 + round,
            "The worker was killed. Its helper lives for a minute and holds the worker's \
             channel open, and `Close` comes only after that. Which event comes at once?",
        );
    }
    let freed = || (fds(server.pid()).len() <= before).then_some(());
    assert!(
        try_eventually(SOON, freed).is_some(),
        "three workers were killed and replaced. Your program had {before} descriptors open \
         before, and has {} now, {SOON:?} later. Each worker had a channel. Its other end is \
         held by a helper, so it does not close by itself: which method of `Children` closes \
         ours?",
        fds(server.pid()).len()
    );
}

#[test]
fn after_failures_the_pauses_double_up_to_the_longest() {
    let args = ["web=fails", "--pause", "20", "--longest", "80"];
    let server = parent(&args).start();
    wait_for_starts(
        &server,
        "web",
        10,
        "Each worker fails before it is ready. The pauses are 20 ms, 40 ms, and then 80 ms \
         each. What wakes your program when a pause is over, and does the pause stop \
         growing?",
    );
    let starts = starts(&server, "web");
    let gaps: Vec<u64> =
        starts.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    for (gap, pause) in gaps.iter().zip([20, 40, 80, 80, 80, 80, 80, 80, 80]) {
        // A millisecond is lost in rounding.
        assert!(
            gap + 2 >= pause,
            "each worker fails before it is ready. The pauses before the next are 20 ms, 40 \
             ms, and then 80 ms each. Your workers were started with {gaps:?} ms between them. \
             What does a pause depend on?"
        );
    }
}

#[test]
fn the_pause_of_one_name_delays_no_other() {
    let args =
        ["mail=fails", "web=good", "--pause", FOR_EVER, "--longest", FOR_EVER];
    let server = serving(&args, &["web"]);
    wait_for_starts(
        &server,
        "mail",
        1,
        "It fails; then there is a pause of 10 minutes.",
    );
    for round in 1..=2 {
        kill(&server, "web");
        wait_for_ready(
            &server,
            "web",
            1 + round,
            "`mail` has failed, and its pause takes 10 minutes. `web` was ready, and was \
             killed in this pause: so another `web` starts at once. Does each name have a \
             pause of its own? And what does your program wait in, during a pause: does it see \
             events there?",
        );
    }
    assert_sleeps(
        &server,
        "`web` is ready, and `mail` has a pause of 10 minutes",
        "Until when does it wait, and what does it look at each time?",
    );
    let count = starts(&server, "mail").len();
    assert_eq!(
        count, 1,
        "`mail` has failed, and its pause takes 10 minutes. But {count} workers were started \
         for it. `web` was ready and was killed meanwhile: what has that to do with the pause \
         of `mail`?"
    );
}

#[test]
fn each_name_counts_its_own_failures_and_ready_sets_them_back() {
    let go = temp_dir();
    let [web, mail] = ["web", "mail"].map(|name| go.path().join(name));
    go.write("web", "");
    let args =
        ["mail=needs-go", "web=needs-go", "--pause", "20", "--longest", FOR_EVER];
    let server = parent(&args).env("GO", go.path()).start();
    wait_for_ready(&server, "web", 1, "It does not fail.");
    let hint =
        "It fails; after pauses of 20, 40, 80, 160, 320 and 640 ms comes the next.";
    wait_for_starts(&server, "mail", 7, hint);

    // Now `mail` has a pause of 1280 ms.
    remove_file(web).expect("to remove it");
    kill(&server, "web");
    let hint = "It was ready, and was killed. From now on it fails: it starts at once, and \
                again after 20 ms. In the same time another name has a longer pause, which \
                began earlier. Which of the two moments do you give to `wait`?";
    wait_for_starts(&server, "web", 3, hint);
    let began = starts(&server, "mail")[6];
    let since = |start: u64| start.saturating_sub(began);
    let [.., second, third] = starts(&server, "web")[..] else { unreachable!() };
    // On a busy machine the kill may come at the end of the pause.
    assert!(
        since(third) < 1280 || third < second + 200,
        "`mail` has failed 7 times, and its pause takes 1280 ms. In this pause `web` was \
         killed. It had been ready; from now on it fails, so it starts at once, and again \
         after 20 ms. Yours started {} ms and {} ms after the pause of `mail` had begun. Which \
         pause does `web` have, and until when do you `wait`?",
        since(second),
        since(third)
    );
    assert!(
        third + 2 >= second + 20,
        "`web` was ready, and was killed. From now on it fails: it starts at once, and again \
         after 20 ms. Yours started again after {} ms. What does a pause depend on?",
        third.saturating_sub(second)
    );

    go.write("mail", "");
    let hint = "From now on it does not fail, and its pause of 1280 ms is over.";
    wait_for_ready(&server, "mail", 1, hint);
    remove_file(mail).expect("to remove it");
    kill(&server, "mail");
    let hint = "It was ready, and was killed. From now on it fails again. That is a first \
                failure: the next one starts after 20 ms. What sets the pause back?";
    wait_for_starts(&server, "mail", 10, hint);
    let mail = starts(&server, "mail");
    let gap = mail[9].saturating_sub(mail[8]);
    assert!(
        gap < 1280,
        "`mail` failed 7 times, then it was ready, then it was killed, and now it fails again. \
         That is a first failure, and the next one starts after 20 ms. Yours started {gap} ms \
         later (less than 1280 is accepted). What sets the pause back?"
    );
}

#[test]
fn a_program_that_does_not_exist_is_tried_again() {
    let dir = temp_dir();
    let program = dir.path().join("server");
    let path = program.to_str().expect("a path in UTF-8");
    let args = [&format!("web={path}"), "--pause", "1000", "--longest", "1000"];
    let server = parent(&args).start();
    assert_sleeps(
        &server,
        "the program of `web` does not exist. It is tried again after each pause of 1 s",
        "What does it do in a pause?",
    );
    assert!(
        server.try_wait().is_none(),
        "the program of `web` does not exist, and your program has exited. It should try \
         again: the program may come, for example when it is being installed. Which events \
         does a child have that could not be started?\n{}",
        server.describe()
    );
    let script = dir.write("script", "#!/bin/sh\nexec sleep 60\n");
    set_permissions(&script, Permissions::from_mode(0o755))
        .expect("to make it a program");
    std::fs::rename(script, &program).expect("to give it its name");
    let runs = || (server.children().len() == 1).then_some(());
    assert!(
        try_eventually(SOON, runs).is_some(),
        "the program of `web` did not exist, and does now. The pauses are 1 s, and {SOON:?} \
         later {} workers run. A child that could not be started has no `Exit`: which event \
         tells that you must try again, and what wakes your program after the pause?\n{}",
        server.children().len(),
        server.describe()
    );
}

/// Blocks until your program has exited, which should be soon and with 0.
#[track_caller]
fn assert_stops(server: &Running, story: &str, hint: &str) {
    let began = Instant::now();
    let status = try_eventually(SOON, || server.try_wait());
    let how = match status {
        Some(status) => format!("it has exited ({status})"),
        None => format!(
            "it runs {:.1?} later ({SOON:?}, or longer if the machine is busy)",
            began.elapsed()
        ),
    };
    assert!(
        status.is_some_and(|status| status.code() == Some(0)),
        "{story}. Then your program should exit with 0; but {how}. {hint}\n{}",
        server.describe()
    );
}

#[test]
fn sigterm_ends_all_workers_and_waits_for_them() {
    let args = ["web=good", "mail=good", "dns=silent", "--stop-limit", FOR_EVER];
    let server = serving(&args, &["web", "mail"]);
    wait_for_starts(&server, "dns", 1, "It never says that it is ready.");
    let family = server.processes();
    server.signal(Signal::SIGTERM);
    assert_stops(
        &server,
        "SIGTERM was sent to your program. Each of 3 workers gets it, too, and exits after 200 \
         ms. One of them was never ready",
        "Who sends it to them, and what do you wait for? And is an exit a failure, if all \
         workers are to exit?",
    );
    let said = server.stdout();
    let goodbyes = said.matches(" says goodbye").count();
    let started = said.matches(" starts at ").count();
    assert_eq!(
        (goodbyes, started),
        (3, 3),
        "SIGTERM was sent to your program. Each of 3 workers gets it, too, needs 200 ms to say \
         goodbye, and exits; none is replaced. Your program has exited now. Goodbyes and \
         starts are on the left. Which signal did the workers get, did you wait until they had \
         exited, and when is a worker not replaced?\n{said}"
    );
    assert_all_gone(&family, None, SOON);
}

#[test]
fn sigterm_ends_it_in_a_pause_too() {
    let server =
        parent(&["web=fails", "--pause", FOR_EVER, "--longest", FOR_EVER]).start();
    wait_for_starts(
        &server,
        "web",
        1,
        "It fails; then there is a pause of 10 minutes.",
    );
    sleep(A_WHILE);
    server.signal(Signal::SIGTERM);
    assert_stops(
        &server,
        "SIGTERM was sent to your program in a pause of 10 minutes. No worker runs",
        "What does it wait in, during a pause?",
    );
}

#[test]
fn a_worker_that_ignores_sigterm_is_killed() {
    let args = ["web=deaf", "mail=good", "--stop-limit", "700"];
    let server = serving(&args, &["web", "mail"]);
    let family = server.processes();
    let began = Instant::now();
    server.signal(Signal::SIGTERM);
    assert_stops(
        &server,
        "SIGTERM was sent to your program, and `web` ignores it. It is to be killed 700 ms \
         later (`stop_limit`)",
        "Which signal cannot be ignored, and what wakes your program when it is time to send it?",
    );
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(700),
        "SIGTERM was sent to your program. `web` ignores it and runs until it is killed, 700 \
         ms later (`stop_limit`); but your program has exited after {} ms. Do you wait until \
         all workers have exited?\n{}",
        took.as_millis(),
        server.describe()
    );
    assert_eq!(
        server.stdout().matches(" says goodbye").count(),
        1,
        "SIGTERM was sent to your program. `web` ignores it, `mail` needs 200 ms to say \
         goodbye, and `stop_limit` is 700 ms; but `mail` did not say it. Which signal did you \
         send first?"
    );
    assert_all_gone(&family, None, SOON);
}
