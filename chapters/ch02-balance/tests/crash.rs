//! Children that die: what is lost with them, and what is not.

mod common;

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use common::{
    LONG, assert_answered, child_named, connect, connections, load, program,
    server, serving,
};
use testkit::{
    Process, Running, Signal, cpu_time, eventually, http::raw_exchange, zombies_of,
};

#[track_caller]
fn process(pid: i32) -> Process {
    Process::of(pid).expect("it is there")
}

/// Kills the child `name` and returns how many connections it held. It is stopped
/// first, so that it can be asked.
fn kill_and_count(server: &Running, name: &str) -> u64 {
    let pid = child_named(server, name);
    let victim = process(pid);
    victim.signal(Signal::SIGSTOP);
    eventually("the victim stands still", LONG, || victim.stopped());
    let held = connections(pid);
    victim.signal(Signal::SIGKILL);
    held as u64
}

#[test]
fn a_killed_child_takes_only_what_it_held_and_the_other_serves_on() {
    for (name, other) in [("normal", "special"), ("special", "normal")] {
        let server = server();
        let under_load = load(&server, 16).start();
        under_load.wait_for_more(200, LONG);
        let pid = child_named(&server, name);
        let held = kill_and_count(&server, name);
        server.wait_for_line(&format!("{name} {pid} was killed by SIGKILL"));
        under_load.wait_for_more(200, LONG);
        let report = under_load.stop();
        assert!(report.lost_count <= held, "it held {held}\n{report}");
        assert_eq!(report.refused, 0, "{report}");
        assert!(report.by_pid.contains_key(&pid), "{report}");

        let report = load(&server, 4).run_total(100);
        report.assert_none_lost();
        assert_eq!(report.by_name.get(other), Some(&100), "{report}");
        assert!(zombies_of(server.pid()).is_empty());
    }
}

/// More clients than may be in flight to one child, so that there are always some
/// left.
const MANY: usize = 400;

/// Some connections wait for the child that stands still: as many as may be in
/// flight, and no more.
#[test]
fn a_child_that_stands_still_does_not_keep_the_other_from_serving() {
    let server = server();
    let asleep = process(child_named(&server, "normal"));
    asleep.signal(Signal::SIGSTOP);
    let under_load = load(&server, MANY).start();
    under_load.wait_for_more(500, LONG);
    asleep.signal(Signal::SIGCONT);
    under_load.stop().assert_none_lost();
    assert_eq!(server.stderr(), "", "nothing is wrong");
}

#[test]
fn what_a_child_that_stood_still_was_sent_goes_to_the_other_when_it_is_killed() {
    let server = server();
    let asleep = process(child_named(&server, "normal"));
    asleep.signal(Signal::SIGSTOP);
    let under_load = load(&server, MANY).start();
    under_load.wait_for_more(200, LONG);
    asleep.signal(Signal::SIGKILL);
    under_load.wait_for_more(200, LONG);
    under_load.stop().assert_none_lost();
}

/// Both stand still, so nothing is acknowledged; then one is killed.
#[test]
fn every_connection_that_a_dead_child_had_not_acknowledged_is_answered_once() {
    let server = server();
    let children =
        ["normal", "special"].map(|it| process(child_named(&server, it)));
    children.iter().for_each(|child| assert!(child.signal(Signal::SIGSTOP)));
    let clients: Vec<TcpStream> = (0..20).map(|_| connect(&server)).collect();
    let pid = server.pid();
    eventually("the parent has sent them", LONG, || connections(pid) >= 22);
    children[0].signal(Signal::SIGKILL);
    children[1].signal(Signal::SIGCONT);
    clients.into_iter().for_each(assert_answered);
}

#[track_caller]
fn assert_gives_up(server: &Running) {
    assert_eq!(server.wait(LONG).code(), Some(1));
    let last = "no child is left, and this chapter does not replace them\n";
    assert!(server.stderr().ends_with(last), "{}", server.stderr());
}

#[test]
fn when_no_child_is_left_the_parent_says_so_and_exits_with_1() {
    let server = server();
    raw_exchange(server.addr(), b"x").expect("a reply");
    for (name, signal) in
        [("normal", Signal::SIGKILL), ("special", Signal::SIGTERM)]
    {
        let pid = child_named(&server, name);
        process(pid).signal(signal);
        server.wait_for_line(&format!("{name} {pid} was killed by {signal}"));
    }
    assert_gives_up(&server);
}

#[test]
fn children_that_exit_at_once_end_the_parent_too() {
    let server = serving(program().args(["--port", "0", "--exec", "false"]));
    server.wait_for_lines("exited with code 1", 2);
    assert_gives_up(&server);
}

/// A child without a channel is of no more use. It may finish what it does, and is
/// killed then.
#[test]
fn a_child_that_closes_its_channel_and_stays_is_killed() {
    let script = "eval \"exec $NODE_CHANNEL_FD>&-\"; sleep 60";
    let words = ["--port", "0", "--exec", "bash", "-c", script, "bash"];
    let begun = Instant::now();
    let server = serving(program().args(words));
    server.wait_for_lines("was killed by SIGKILL", 2);
    assert_gives_up(&server);
    assert!(begun.elapsed() >= Duration::from_secs(2), "it had time");
    assert!(cpu_time(server.pid()) < Duration::from_millis(500));
}
