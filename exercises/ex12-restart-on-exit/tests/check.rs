//! What your program has to do. `cargo test -p ex12-restart-on-exit`

use std::os::unix::fs::symlink;
use std::time::Duration;

use testkit::{
    Process, Program, Running, Signal, assert_all_gone, cpu_time, exercise, fds,
    temp_dir, try_eventually, zombies_of,
};

/// For what should happen soon. It is long because the machine may be busy.
const SOON: Duration = Duration::from_secs(6);

fn server(workers: usize, more: &[&str]) -> Program {
    exercise!().args(["--workers", &workers.to_string()]).args(more)
}

/// Starts your program, and returns once this many workers are ready.
#[track_caller]
fn serving(workers: usize, more: &[&str]) -> Running {
    let server = server(workers, more).start();
    wait_for_ready(
        &server,
        workers,
        "Nothing has to happen before they are all started.",
    );
    server
}

/// When each worker was started, in milliseconds: what the workers themselves have printed.
fn starts(server: &Running) -> Vec<u64> {
    let text = server.stdout();
    let told =
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix(" ms\n"));
    told.filter_map(|line| line.split_once(" starts at ")?.1.parse().ok()).collect()
}

#[track_caller]
fn wait_for_starts(server: &Running, count: usize, hint: &str) {
    wait_for(server, count, "started", hint, || starts(server).len());
}

#[track_caller]
fn wait_for_ready(server: &Running, count: usize, hint: &str) {
    wait_for(server, count, "ready", hint, || {
        server.stdout().matches(" is ready\n").count()
    });
}

#[track_caller]
fn wait_for(
    server: &Running,
    count: usize,
    what: &str,
    hint: &str,
    look: impl Fn() -> usize,
) {
    // No longer than until the parent has ended, and with it all who print.
    let over = || server.try_wait().is_some() && server.output_ended();
    let _ = try_eventually(SOON, || (look() >= count || over()).then_some(()));
    let state = match server.try_wait() {
        Some(status) => format!("has ended ({status})"),
        None => "runs".to_owned(),
    };
    assert!(
        look() >= count,
        "{count} workers should have been {what} by now, one after another or at once; it was {}, and \
         the parent {state}. {hint}\n--- its stdout\n{}\n--- its stderr\n{}",
        look(),
        server.stdout(),
        server.stderr()
    );
}

/// The milliseconds between one start and the next.
fn gaps(server: &Running) -> Vec<u64> {
    starts(server).windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect()
}

#[track_caller]
fn kill(victims: &[Process]) {
    for victim in victims {
        assert!(
            victim.signal(Signal::SIGKILL),
            "worker {} has ended by itself",
            victim.pid
        );
    }
}

#[test]
fn each_worker_that_is_killed_is_replaced_once() {
    let server = serving(2, &[]);
    for round in 1..=10 {
        let oldest = server.children().into_iter().take(1);
        kill(&oldest.collect::<Vec<_>>());
        wait_for_starts(
            &server,
            2 + round,
            "A worker was killed. Which event tells you?",
        );
    }
    kill(&server.children());
    wait_for_starts(
        &server,
        14,
        "Both workers were killed at once. Who else has ended?",
    );
    let settled =
        || server.children().len() == 2 && zombies_of(server.pid()).is_empty();
    let settled = try_eventually(SOON, || settled().then_some(())).is_some();
    let (started, alive) = (starts(&server).len(), server.children().len());
    assert!(
        settled && started == 14,
        "2 workers were wanted, and 12 were killed: so 14 are started in all, and 2 live. Yours has \
         started {started}, {alive} live, and {} of the dead were not waited for. One end comes with \
         several events: for how many of them do you start a worker?",
        zombies_of(server.pid()).len()
    );
}

#[test]
fn a_worker_that_closes_its_channel_and_lives_on_is_not_replaced() {
    let server = serving(1, &["--kind", "hangs-up"]);
    let first = server.children();
    // Long enough for a wrong answer; the right one has nothing to do.
    let second = try_eventually(Duration::from_millis(400), || {
        (starts(&server).len() > 1).then(|| server.children())
    });
    assert!(
        second.is_none() && server.children() == first,
        "the one worker has closed its channel, and lives on. Now there are {}: {:?}. `disconnect` \
         says that a child will say no more. Which event says that it has ended?",
        server.children().len(),
        server.children().iter().map(|it| it.pid).collect::<Vec<_>>()
    );
    kill(&first);
    wait_for_starts(
        &server,
        2,
        "The worker had closed its channel long before it was killed.",
    );
}

#[test]
fn a_worker_that_leaves_a_helper_behind_is_replaced_when_it_ends() {
    let server = serving(1, &["--kind", "has-helper"]);
    let before = fds(server.pid()).len();
    for round in 1..=4 {
        kill(&server.children());
        wait_for_ready(
            &server,
            1 + round,
            "The worker was killed. Its helper lives, and holds the worker's channel: `close` may not \
             come for a minute. Which event comes at once?",
        );
    }
    let freed = try_eventually(Duration::from_secs(2), || {
        (fds(server.pid()).len() <= before).then_some(())
    });
    assert!(
        freed.is_some(),
        "four workers have ended and were replaced, and the parent holds {} descriptors instead of \
         {before}. Each had a channel, and a helper holds its other end. Who closes ours?",
        fds(server.pid()).len()
    );
}

#[test]
fn after_workers_that_were_never_ready_the_pauses_double_up_to_the_longest() {
    let server =
        server(1, &["--kind", "fails", "--pause", "20", "--longest", "160"])
            .start();
    wait_for_starts(
        &server,
        10,
        "Each worker fails before it is ready. The pauses are 20, 40, 80 ms, and then 160 ms each. \
         What wakes you when a pause is over, and does yours stop growing?",
    );
    let gaps = gaps(&server);
    for (gap, pause) in gaps.iter().zip([20, 40, 80, 160, 160, 160, 160, 160, 160])
    {
        // The clock may be set while we look; a millisecond is lost in rounding.
        assert!(
            gap + 1 >= pause,
            "each worker fails before it is ready. Before the next one, the pauses are 20, 40, 80 ms, \
             and then 160 ms each. Your workers were started with {gaps:?} ms between them. When does \
             a pause begin, and what does it depend on?"
        );
    }
}

#[test]
fn a_worker_that_was_ready_is_replaced_at_once_and_sets_the_pause_back() {
    let dir = temp_dir();
    let go = dir.path().join("go");
    let arguments = ["--kind", "needs-go", "--pause", "30", "--longest", "60000"];
    let server = server(1, &arguments).env("GO", &go).start();
    wait_for_starts(
        &server,
        6,
        "Each fails: after 30, 60, 120, 240 and 480 ms comes the next.",
    );
    dir.write("go", "");
    wait_for_ready(
        &server,
        1,
        "From now on they do not fail; after 960 ms comes the next.",
    );
    let before = cpu_time(server.pid());
    std::thread::sleep(Duration::from_millis(200));
    let used = cpu_time(server.pid()).saturating_sub(before);
    assert!(
        used < Duration::from_millis(100),
        "the last pause is over, and the one worker is ready. Nothing happens, and in 200 ms the parent \
         has used {used:?} of processor time. Until when does it wait?"
    );
    kill(&server.children());
    wait_for_ready(
        &server,
        2,
        "The worker was killed, and its replacement will be ready too.",
    );
    assert!(
        gaps(&server).last() < Some(&900),
        "a worker was ready, and was killed. Another is started at once, because it will be ready too, \
         and clients wait; between the starts are {:?} ms. How do you know, at a worker's end, whether \
         it was ever ready?",
        gaps(&server)
    );
    let before = starts(&server).len();
    std::fs::remove_file(go).expect("to remove it again");
    kill(&server.children());
    wait_for_starts(
        &server,
        before + 2,
        "From now on they fail again; after 30 ms comes the next.",
    );
    let gap = gaps(&server)[before];
    assert!(
        gap < 900,
        "many workers failed, then two were ready, and now one fails again. That is a first failure, \
         and the next is started after 30 ms; yours comes after {gap} ms. Who sets the pause back?"
    );
}

#[test]
fn a_program_that_is_not_there_is_tried_again_and_costs_no_processor_time() {
    let dir = temp_dir();
    let program = dir.path().join("worker");
    let path = program.to_str().expect("a path in UTF-8");
    let server =
        server(2, &["--pause", "40", "--longest", "80", "--exec", path, "30"])
            .start();
    // A window to look through: whoever sleeps in it uses no time, however long it is.
    let ended = try_eventually(Duration::from_millis(500), || server.try_wait());
    assert!(
        ended.is_none(),
        "no worker can be started, and the parent has ended as well ({}). The program may come, as it \
         does when it is being installed. Which events does a child have that never was?\n{}",
        ended.expect("it has ended"),
        server.stderr()
    );
    let used = cpu_time(server.pid());
    assert!(
        used < Duration::from_millis(250),
        "no worker can be started, and the parent has used {used:?} of processor time in half a \
         second. What does it do in the pauses?"
    );
    symlink("/bin/sleep", &program).expect("to make the program");
    let came =
        try_eventually(SOON, || (server.children().len() == 2).then_some(()));
    assert!(
        came.is_some(),
        "the program is there now, and {} of 2 workers live. A child that cannot be started has no \
         `exit`: which event tells you that you have to try again, and what wakes you after the pause?",
        server.children().len()
    );
}

#[test]
fn sigterm_ends_all_and_waits_for_them() {
    let server = serving(3, &[]);
    let family = server.processes();
    server.signal(Signal::SIGTERM);
    let status = server.wait(SOON);
    let said = server.stdout();
    assert_eq!(
        (
            said.matches(" says goodbye").count(),
            status.code(),
            starts(&server).len()
        ),
        (3, Some(0), 3),
        "SIGTERM was sent to the parent. Each of 3 workers should get it too, and takes 200 ms to say \
         goodbye; then the parent exits with 0, and nobody was started. (goodbyes, exit code, starts) \
         are wrong. Who waits for the workers, and who must not be replaced?\n{said}"
    );
    assert_all_gone(&family, None, SOON);
}

#[test]
fn sigterm_ends_it_in_a_pause_too_and_although_a_worker_is_deaf() {
    let pausing = server(1, &["--kind", "fails", "--pause", "4000"]).start();
    let deaf = serving(1, &["--kind", "deaf"]);
    wait_for_starts(&pausing, 1, "Then it fails, and there is a pause of 4 s.");
    let family = deaf.processes();
    pausing.signal(Signal::SIGTERM);
    let ended = try_eventually(Duration::from_secs(2), || pausing.try_wait());
    assert!(
        ended.is_some_and(|status| status.code() == Some(0)),
        "nobody lives, and the next worker would be started in 4 s. SIGTERM should end the parent at \
         once, with 0; after 2 s it says {ended:?}. What does it wait in, during a pause?"
    );
    deaf.signal(Signal::SIGTERM);
    let ended = try_eventually(Duration::from_secs(4), || deaf.try_wait());
    assert!(
        ended.is_some_and(|status| status.code() == Some(0)),
        "a worker ignores SIGTERM. 1 s later (`STOP_LIMIT`) it is to be killed, and then the parent \
         exits with 0; after 4 s it says {ended:?}. Which signal cannot be ignored?"
    );
    assert_all_gone(&family, None, SOON);
}

#[test]
fn a_worker_that_ends_at_sigterm_before_it_was_ready_is_no_failure() {
    let server = server(1, &["--exec", "sleep", "60"]).start();
    let started =
        try_eventually(SOON, || (server.children().len() == 1).then_some(()));
    assert!(started.is_some(), "no worker was started\n{}", server.stderr());
    let family = server.processes();
    server.signal(Signal::SIGTERM);
    let ended = try_eventually(Duration::from_secs(2), || server.try_wait());
    assert!(
        ended.is_some_and(|status| status.code() == Some(0)),
        "a worker was started, and had not said that it is ready. SIGTERM should end it, and then the \
         parent, with 0; after 2 s that says {ended:?}, and {} workers live. Is an end a failure, when \
         all are to end?",
        server.children().len()
    );
    assert_all_gone(&family, None, SOON);
}
