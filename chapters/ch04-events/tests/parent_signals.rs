//! Signals to the parent itself arrive in the same loop as everything else.

mod common;

use std::{os::unix::process::ExitStatusExt, time::Duration};

use common::{
    DISCONNECT, LONG, SPAWN, bash, killed, masked, message, program, watch,
};
use testkit::{Running, Signal, assert_all_gone, cpu_time, zombies_of};

const SOON: Duration = Duration::from_secs(2);

/// Starts `watch`, and waits until its child is ready.
#[track_caller]
fn ready(script: &str) -> Running {
    let running = watch(&[], bash(script)).start();
    running.wait_for_line(&message("\"ready\""));
    running
}

#[test]
fn a_signal_to_watch_goes_to_its_child_and_watch_follows() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let running = ready("trap - INT; say '\"ready\"'; exec sleep 1000");
        let family = running.processes();
        running.signal(signal);
        assert_all_gone(&family, None, SOON);
        assert_eq!(
            running.wait(LONG).code(),
            Some(0),
            "it has printed the last event"
        );
        running.wait_for_line("close");
        let [exit, close] = killed(signal.as_str());
        let expected = [SPAWN, &message("\"ready\""), DISCONNECT, &exit, &close];
        assert_eq!(masked(&running.stdout()), expected);
    }
}

#[test]
fn a_second_signal_ends_watch_at_once_whatever_its_child_does() {
    let running = ready(
        "trap 'say \"\\\"no\\\"\"' TERM INT; say '\"ready\"'; while :; do sleep 0.01; done",
    );
    let family = running.processes();
    running.signal(Signal::SIGTERM);
    running.wait_for_line(&message("\"no\""));
    running.signal(Signal::SIGINT);
    assert_eq!(running.wait(SOON).code(), Some(1), "the child was killed");
    assert_all_gone(&family, None, SOON);
}

#[test]
fn a_watch_that_is_killed_leaves_nothing() {
    let running = ready("trap '' TERM INT HUP; say '\"ready\"'; exec sleep 1000");
    let family = running.processes();
    running.signal(Signal::SIGKILL);
    assert_all_gone(&family, None, SOON);
    assert_eq!(running.wait(LONG).signal(), Some(9));
}

#[test]
fn signals_without_a_reason_change_nothing() {
    let running = ready(
        "say '\"ready\"'; while read -r -t 0.01 x <&$fd; [ $? -gt 128 ]; do :; done",
    );
    for _ in 0..200 {
        running.signal(Signal::SIGCHLD);
        running.signal(Signal::SIGCONT);
        running.signal(Signal::SIGPIPE);
    }
    running.signal(Signal::SIGTERM);
    assert_eq!(running.wait(LONG).code(), Some(0));
    running.wait_for_line("close");
    let [exit, close] = killed("SIGTERM");
    let expected = [SPAWN, &message("\"ready\""), DISCONNECT, &exit, &close];
    assert_eq!(masked(&running.stdout()), expected);
}

#[test]
fn an_idle_watch_uses_no_cpu_and_leaves_no_zombie() {
    // One child is silent. The other has exited, and a grandchild holds its output.
    let silent = watch(&[], ["sleep", "1000"]).start();
    let ended = watch(&[], bash("sleep 1000 & exit 0")).start();
    silent.wait_for_line("spawn");
    ended.wait_for_line("exit");
    let before = [&silent, &ended].map(|it| cpu_time(it.pid()));
    // Ten tours take some time.
    let tours = (0..10).filter(|_| program().output().status.success()).count();
    assert_eq!(tours, 10);
    for (running, before) in [&silent, &ended].into_iter().zip(before) {
        let used = cpu_time(running.pid()) - before;
        assert!(used <= Duration::from_millis(20), "waiting has used {used:?}");
        assert_eq!(zombies_of(running.pid()), []);
    }
}
