//! Children that die: what is lost with them, and what is not.

mod common;

use std::{
    fs,
    os::unix::fs::symlink,
    thread,
    time::{Duration, Instant},
};

use common::{
    LONG, child_named, children_so_far, connections, load, program, server, serving,
};
use testkit::{
    Process, Running, Signal, cpu_time, eventually, http::raw_exchange, temp_dir,
    zombies_of,
};

#[track_caller]
fn process(pid: i32) -> Process {
    Process::of(pid).expect("it is there")
}

/// Kills the child in place `name` and says how many connections it held. It is stopped first, so
/// that it can be asked.
fn kill_and_count(server: &Running, name: &str) -> u64 {
    let pid = child_named(server, name);
    let victim = process(pid);
    victim.signal(Signal::SIGSTOP);
    eventually("the victim stands still", LONG, || {
        let stat =
            fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('T'))
    });
    let held = connections(pid);
    victim.signal(Signal::SIGKILL);
    held as u64
}

#[track_caller]
fn assert_both_serve(server: &Running) {
    let report = load(server, 4).run_total(200);
    report.assert_none_lost();
    for name in ["normal", "special"] {
        assert_eq!(
            report.by_pid.get(&child_named(server, name)),
            Some(&100),
            "{report}"
        );
    }
}

#[test]
fn a_killed_child_takes_only_what_it_held_and_is_replaced() {
    for name in ["normal", "special"] {
        let server = server();
        let load = load(&server, 16).start();
        load.wait_for_more(200, LONG);
        let former = child_named(&server, name);
        let held = kill_and_count(&server, name);
        load.wait_for_more(200, LONG);
        eventually("it is replaced", LONG, || child_named(&server, name) != former);
        load.wait_for_more(200, LONG);
        let report = load.stop();
        assert!(report.lost_count <= held, "it held {held}\n{report}");
        assert_eq!(report.refused, 0, "{report}");
        assert!(report.by_pid.contains_key(&former), "{report}");
        server.wait_for_line(&format!("{name} {former} was killed by SIGKILL"));
        assert_both_serve(&server);
    }
}

#[test]
fn both_children_killed_at_once_are_replaced_and_the_next_client_is_served() {
    let server = server();
    raw_exchange(server.addr(), b"x").expect("a reply");
    raw_exchange(server.addr(), b"x").expect("a reply");
    for name in ["normal", "special"] {
        process(child_named(&server, name)).signal(Signal::SIGKILL);
    }
    raw_exchange(server.addr(), b"x").expect("a reply, if later");
    eventually("both are replaced", LONG, || {
        ["normal", "special"].iter().all(|name| children_so_far(&server, name) == 2)
    });
    assert_both_serve(&server);
    eventually("nobody stays a zombie", LONG, || {
        zombies_of(server.pid()).is_empty()
    });
}

#[test]
fn children_killed_again_and_again_under_load_take_only_what_they_held() {
    let server = server();
    let load = load(&server, 16).start();
    let mut held = 0;
    let begun = Instant::now();
    let mut kills = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        let name = ["normal", "special"][kills % 2];
        let former = child_named(&server, name);
        // A child that has never served is taken for broken: its successor waits a second.
        let served = load.answered() + 50;
        eventually("it goes on", LONG, || load.answered() >= served);
        held += kill_and_count(&server, name);
        eventually("it is replaced", LONG, || child_named(&server, name) != former);
        kills += 1;
    }
    let report = load.stop();
    assert!(kills >= 3, "{kills} kills in 3 s");
    assert!(report.lost_count <= held, "{kills} victims held {held}\n{report}");
    assert_eq!(report.refused, 0, "{report}");
    assert_both_serve(&server);
}

#[test]
fn a_child_that_is_asked_to_end_is_replaced_too() {
    let server = server();
    for signal in [Signal::SIGTERM, Signal::SIGUSR1] {
        let former = child_named(&server, "special");
        raw_exchange(server.addr(), b"x").expect("a reply");
        raw_exchange(server.addr(), b"x").expect("a reply");
        process(former).signal(signal);
        eventually("it is replaced", LONG, || {
            child_named(&server, "special") != former
        });
        assert_both_serve(&server);
    }
}

/// More clients than may be under way to one child, so that there are always some left.
const MANY: usize = 400;

/// Some connections wait for the one that stands still: as many as may be under way, and no more.
#[test]
fn a_child_that_stands_still_does_not_keep_the_other_from_serving() {
    let server = server();
    let asleep = process(child_named(&server, "normal"));
    asleep.signal(Signal::SIGSTOP);
    let load = load(&server, MANY).start();
    load.wait_for_more(500, LONG);
    asleep.signal(Signal::SIGCONT);
    let report = load.stop();
    report.assert_none_lost();
    assert_eq!(server.stderr(), "", "nothing is wrong");
    assert_both_serve(&server);
}

#[test]
fn what_a_child_that_stood_still_was_sent_goes_to_another_when_it_is_killed() {
    let server = server();
    let asleep = process(child_named(&server, "normal"));
    asleep.signal(Signal::SIGSTOP);
    let load = load(&server, MANY).start();
    load.wait_for_more(200, LONG);
    asleep.signal(Signal::SIGKILL);
    load.wait_for_more(200, LONG);
    load.stop().assert_none_lost();
}

#[test]
fn children_that_end_at_once_do_not_make_the_parent_spin() {
    let server = serving(program().args(["--port", "0", "--exec", "false"]));
    server.wait_for_lines("exited with code 1", 2);
    let (begun, before) = (Instant::now(), cpu_time(server.pid()));
    let started = children_so_far(&server, "normal");
    server.wait_for_lines("exited with code 1", 6);
    thread::sleep(Duration::from_secs(1));
    let used = cpu_time(server.pid()) - before;
    let seconds = begun.elapsed().as_secs() as usize;
    let more = children_so_far(&server, "normal") - started;
    assert!(
        more <= seconds + 2,
        "{more} children in {seconds} s\n{}",
        server.stdout()
    );
    assert!(
        used * 10 < begun.elapsed(),
        "{used:?} of CPU time in {:?}",
        begun.elapsed()
    );
}

/// A client that has come meanwhile is answered when there is somebody to do it.
#[test]
fn children_that_start_to_work_in_the_end_serve_those_who_have_waited() {
    let dir = temp_dir();
    let flag = dir.path().join("now");
    let this = env!("CARGO_BIN_EXE_ch02-balance");
    let script =
        format!("test -e '{}' && exec '{this}' worker \"$1\"", flag.display());
    let server = serving(
        program().args(["--port", "0", "--exec", "sh", "-c", &script, "sh"]),
    );
    let load = load(&server, 8).start();
    server.wait_for_lines("exited with code 1", 3);
    fs::write(&flag, "").expect("a file");
    load.wait_for_more(100, LONG);
    load.stop().assert_none_lost();
}

#[test]
fn a_child_that_cannot_be_started_again_is_told_of_and_tried_again() {
    let dir = temp_dir();
    let link = dir.path().join("worker");
    let this = env!("CARGO_BIN_EXE_ch02-balance");
    symlink(this, &link).expect("a link");
    let run = link.to_str().expect("UTF-8");
    let server = serving(program().args(["--port", "0", "--exec", run, "worker"]));
    assert_both_serve(&server);
    fs::remove_file(&link).expect("it is ours");
    let former = child_named(&server, "normal");
    process(former).signal(Signal::SIGKILL);
    server
        .wait_for_stderr(&format!("cannot start {run}: No such file or directory"));
    let report = load(&server, 4).run_total(100);
    report.assert_none_lost();
    assert_eq!(
        report.by_name.get("special"),
        Some(&100),
        "the other one does it all\n{report}"
    );
    symlink(this, &link).expect("a link");
    eventually("it is started again", LONG, || {
        child_named(&server, "normal") != former
    });
    assert_both_serve(&server);
}
