//! A new program takes over, or fails to.

mod common;

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use common::{
    HALF, PROGRAM, PROMPT, SOON, Server, numbered, process, server_of, setup,
    shell, wait_for_accepted,
};
use testkit::{
    Process, Program, Signal, assert_all_gone, eventually, http, pid_in,
};

/// A server whose program is a symbolic link that the test can change.
fn linked(config: &str) -> Server {
    let setup = setup(config).own_program();
    setup.ready()
}

/// Makes the server's program a link to another one, as an installer does.
#[track_caller]
fn link(server: &Server, target: impl AsRef<Path>) {
    let new = server.path("new");
    symlink(target, &new)
        .and_then(|()| fs::rename(new, server.path("server")))
        .expect("to link");
}

/// Makes it a script.
#[track_caller]
fn script(server: &Server, line: &str) {
    shell(
        &server.path(""),
        &format!("printf '#!/bin/sh\\n{line}\\n' >script; chmod +x script"),
    );
    link(server, server.path("script"));
}

#[test]
fn an_upgrade_keeps_the_port_and_the_requests() {
    let server = linked(&numbered(2, 1));
    let (old, port) = (server.master(), server.port());
    let mut slow = server.connected(HALF[0]);
    wait_for_accepted(&server, 1);
    server.configure(&numbered(1, 2));
    server.send(Signal::SIGUSR2);
    server.wait_for_line("has taken over");
    // The new one has read the file as it is now.
    eventually("the new workers answer alone", SOON, || {
        (0..5).all(|_| pid_in(&server.get("/").body) == Some(2))
    });
    assert!(old.alive(), "its worker has a client");
    slow.send_raw(HALF[1]).expect("the rest");
    let response = slow.read_response().expect("a response");
    assert_eq!(pid_in(&response.body), Some(1), "the old worker answers");
    drop(slow);
    assert_eq!(server.wait(SOON).code(), Some(0), "{}", server.describe());
    assert_eq!(server.settle(|_| true)["wanted"], 1);
    assert_eq!(server.stderr(), "");
    // All that was before works with the new one, too.
    server.configure(&numbered(2, 3));
    server.reload();
    server.upgrade();
    assert_eq!(pid_in(&server.get("/").body), Some(3));
    let family = server.processes();
    server.send(Signal::SIGTERM);
    assert_all_gone(&family, Some(port), PROMPT);
}

#[test]
fn a_program_that_cannot_take_over_changes_nothing() {
    let server = linked(&format!("{}[limits]\nstart = 0.5\n", numbered(2, 1)));
    let workers = server.workers();
    let load = server.load(2).start();
    let folder = server.path("folder");
    fs::create_dir(&folder).expect("to make");
    let text = server.path("text");
    fs::write(&text, "no program").expect("to write");
    let program = |name: &str, script: &str| {
        shell(
            &server.path(""),
            &format!("printf '#!/bin/sh\n{script}\n' >{name}; chmod +x {name}"),
        );
        server.path(name)
    };
    shell(
        &server.path(""),
        ">empty; chmod +x empty; printf text >word; chmod +x word",
    );
    let cases = [
        (server.path("nothing"), "No such file or directory"),
        (text, "Permission denied"),
        (server.path("word"), "Exec format error"),
        (server.path("empty"), "Exec format error"),
        (folder, "Permission denied"),
        ("/bin/true".into(), ""),
        ("/bin/false".into(), ""),
        (program("exits", "exit 3"), ""),
        (program("dies", "kill -9 $$"), ""),
        (program("complains", "echo no >&2; exit 1"), "no"),
        (program("hangs", "exec sleep 1000"), "is not ready in time"),
    ];
    let count = cases.len();
    for (number, (target, told)) in cases.into_iter().enumerate() {
        let before = server.stderr().len();
        link(&server, &target);
        server.send(Signal::SIGUSR2);
        eventually(&format!("failure {} {target:?}", number + 1), SOON, || {
            server.stderr().matches("; this one serves on\n").count() == number + 1
        });
        let complaints = server.stderr().split_off(before);
        assert!(complaints.contains(told), "{target:?}: {complaints}");
        assert!(complaints.lines().count() <= 2, "{target:?}: {complaints}");
    }
    // Meanwhile the file is gone, and workers start all the same.
    fs::remove_file(server.path("server")).expect("to remove");
    server.send(Signal::SIGUSR2);
    eventually("one failure more", SOON, || {
        server.stderr().matches("serves on").count() == count + 1
    });
    assert_eq!(server.workers(), workers, "the same workers serve");
    server.reload();
    assert!(server.workers().iter().all(|it| !workers.contains(it)));
    symlink(PROGRAM, server.path("server")).expect("to link");
    server.upgrade();
    common::none_lost(load);
}

/// The new master may have read the file before that was changed.
#[test]
fn a_reload_during_an_upgrade_is_not_lost() {
    for delay in [0, 4, 8, 12, 16, 24, 100] {
        let server = server_of(1);
        let old = server.master();
        // For this client's worker the old master stays.
        let _slow = server.connected(HALF[0]);
        wait_for_accepted(&server, 1);
        server.send(Signal::SIGUSR2);
        sleep(Duration::from_millis(delay));
        server.configure(&numbered(1, 2));
        common::signal(old, Signal::SIGHUP);
        eventually(&format!("the new file counts; {delay} ms"), SOON, || {
            let done = server.stdout().contains("has taken over");
            done && pid_in(&server.get("/").body) == Some(2)
        });
        assert_eq!(server.stderr(), "");
    }
}

/// The new master may have started from a file that is old by now.
#[test]
fn an_upgrade_during_an_upgrade_is_not_lost() {
    for step in ["upgrade: starts", "has taken over"] {
        let server = server_of(1);
        let old = server.master();
        let _slow = server.connected(HALF[0]);
        wait_for_accepted(&server, 1);
        server.send(Signal::SIGUSR2);
        server.wait_for_line(step);
        common::signal(old, Signal::SIGUSR2);
        server.wait_for_lines("has taken over", 2);
        assert_eq!(server.stderr(), "");
    }
}

/// The user has second thoughts, and ends the new master. It has the same listener.
#[test]
fn sigterm_to_a_new_master_that_is_not_ready_takes_nothing_from_the_old_one() {
    let server = linked(&numbered(1, 1));
    script(&server, &format!(r#"exec {PROGRAM} "$@" --exec sleep 1000"#));
    let old = server.master();
    server.send(Signal::SIGUSR2);
    server.wait_for_lines("started", 2);
    let new = new_master(&server, old).expect("it has started a worker");
    common::signal(new, Signal::SIGTERM);
    server.wait_for_line("got SIGTERM");
    let client = TcpStream::connect_timeout(&server.addr(), PROMPT / 4);
    assert!(client.is_ok(), "{client:?}: {}", server.describe());
}

/// Signals to all processes of a name or of a group come to it, too.
#[test]
fn a_new_master_that_does_not_handle_signals_yet_ignores_them() {
    let server = linked(&numbered(1, 1));
    let kill = "kill -HUP $$; kill -USR1 $$; kill -USR2 $$; kill -TTOU $$";
    script(&server, &format!(r#"{kill}; exec {PROGRAM} "$@""#));
    server.upgrade();
    assert_eq!(server.stderr(), "");
    // It does not stay so.
    server.reload();
}

/// It has said that it is ready, and dies. The old one cannot go back.
#[test]
fn the_death_of_a_new_master_is_told() {
    let server = server_of(1);
    let mut slow = server.connected(HALF[0]);
    wait_for_accepted(&server, 1);
    server.send(Signal::SIGUSR2);
    server.wait_for_line("has taken over");
    server.send(Signal::SIGKILL);
    server.wait_for_stderr("the new program was killed by SIGKILL");
    slow.send_raw(HALF[1]).expect("the rest");
    slow.read_response().expect("a response");
    drop(slow);
    assert_eq!(server.wait(PROMPT).code(), Some(1), "{}", server.describe());
}

#[test]
fn a_master_without_a_free_descriptor_serves_on() {
    if !common::installed("prlimit") {
        return;
    }
    let server = server_of(1);
    let limit = |most: usize| {
        let arguments =
            [format!("--pid={}", server.pid()), format!("--nofile={most}:")];
        Program::new("prlimit").args(arguments).output()
    };
    limit(testkit::fds(server.pid()).len() + 1);
    server.send(Signal::SIGUSR2);
    server.wait_for_stderr("the new program failed; this one serves on");
    let told = server.stderr();
    assert!(told.contains("Too many open files"), "{told}");
    assert_eq!(told.lines().count(), 2, "{told}");
    server.send(Signal::SIGHUP);
    server.wait_for_stderr("reload: undone");
    assert_eq!(server.get("/").status, 200);
    limit(1000);
    server.upgrade();
}

/// When process 1 of a container exits, the kernel kills all others there.
#[test]
fn process_1_is_not_replaced() {
    let namespace =
        ["--pid", "--fork", "--kill-child", "--user", "--map-root-user"];
    let allowed = Program::new("unshare").args(namespace).arg("true").output();
    if !allowed.status.success() {
        eprintln!("skipped: no new process namespace here: {}", allowed.stderr);
        return;
    }
    let server = Program::new("unshare")
        .args(namespace)
        .args([PROGRAM, "--port", "0", "--workers", "1"])
        .start();
    server.wait_for_line("is ready");
    common::signal(server.children()[0], Signal::SIGUSR2);
    server.wait_for_stderr("process 1 cannot be replaced");
    assert_eq!(http::get(server.addr()).expect("a response").status, 200);
}

/// The program is good, and what it reads is not.
#[test]
fn a_program_that_cannot_use_its_configuration_changes_nothing() {
    let server = linked(&format!("{}[limits]\nstart = 0.5\n", numbered(2, 1)));
    let workers = server.workers();
    let load = server.load(2).start();
    server.configure("workers = 0\n");
    server.send(Signal::SIGUSR2);
    server.wait_for_stderr("workers: 0 is not between 1 and 1024");
    server.wait_for_stderr("the new program failed; this one serves on");
    // Its workers fail again and again, until its time is over.
    let folder = server.path("folder");
    fs::create_dir(&folder).expect("to make");
    let large = fs::File::create(folder.join("large")).expect("to make");
    large.set_len(65 << 20).expect("to make it large");
    server.configure("workers = 2\nfolder = 'folder'\n");
    server.send(Signal::SIGUSR2);
    server.wait_for_stderr("the files have more than 64 MiB in all");
    server.wait_for_stderr("is not ready in time; this one serves on");
    common::none_lost(load);
    eventually("only the old ones are left", SOON, || {
        server.masters().len() == 1 && server.workers() == workers
    });
    server.configure(&numbered(1, 2));
    server.upgrade();
    assert_eq!(pid_in(&server.get("/").body), Some(2));
}

/// The number of the process that takes over.
fn new_master(server: &Server, old: Process) -> Option<Process> {
    let mut others = testkit::children_of(old.pid);
    others.retain(|it| !it.command_line().contains("ch06-reload worker"));
    others.retain(|it| !server.workers().contains(it));
    others.pop()
}

#[test]
fn when_the_new_master_is_killed_before_it_is_ready_the_old_one_serves_on() {
    let server = linked(&numbered(2, 1));
    let load = server.load(2).start();
    for delay in [0, 5, 10, 20, 40] {
        let old = server.master();
        server.send(Signal::SIGUSR2);
        let mut new = None;
        eventually("a process that takes over", SOON, || {
            new = new_master(&server, old);
            new.is_some() || server.master() != old
        });
        sleep(Duration::from_millis(delay));
        if let Some(new) = new {
            new.signal(Signal::SIGSTOP);
            // If it has said that it is ready, the old one says so soon.
            sleep(Duration::from_millis(50));
            if server.master() == old && !server.stdout().contains("has taken over")
            {
                new.signal(Signal::SIGKILL);
            } else {
                new.signal(Signal::SIGCONT);
            }
        }
        server.settle(|_| true);
    }
    common::none_lost(load);
    server.upgrade();
}

/// Kills the master of a server for each of the delays, in one of its phases: nothing is
/// left, and the port is free. But a new master that is ready by then goes on.
fn leaves_nothing(phase: &str, begin: impl Fn(&Server) + Sync, delays: &[u64]) {
    let check = |delay: u64| {
        let server = server_of(2);
        begin(&server);
        sleep(Duration::from_millis(delay));
        let port = server.port();
        server.signal(Signal::SIGKILL);
        let killed = Instant::now();
        eventually(&format!("the end; {phase}, {delay} ms"), PROMPT, || {
            let serves = || http::get(server.addr()).is_ok();
            server.processes().is_empty()
                || phase == "upgrade" && killed.elapsed() > PROMPT / 5 && serves()
        });
        for new_master in server.masters() {
            new_master.signal(Signal::SIGTERM);
        }
        assert_all_gone(&server.processes(), Some(port), PROMPT);
    };
    let check = &check;
    thread::scope(|scope| {
        for &delay in delays {
            scope.spawn(move || check(delay));
        }
    });
}

#[test]
fn kill_9_of_the_master_leaves_nothing_in_any_phase() {
    leaves_nothing("serving", |_| {}, &[0]);
    leaves_nothing("reload", |it| it.send(Signal::SIGHUP), &[0, 5, 20, 260]);
    leaves_nothing(
        "upgrade",
        |it| it.send(Signal::SIGUSR2),
        &[0, 2, 5, 10, 20, 30],
    );
    leaves_nothing("stop", |it| it.send(Signal::SIGTERM), &[0, 5, 12]);
}

#[test]
fn kill_9_of_a_master_that_starts_leaves_nothing() {
    for delay in [0, 5, 10, 20, 40] {
        let server = setup(&numbered(2, 1)).start();
        sleep(Duration::from_millis(delay));
        server.signal(Signal::SIGKILL);
        eventually(&format!("the end after {delay} ms"), PROMPT, || {
            server.processes().is_empty()
        });
    }
}

/// A worker is started from the program that runs, though its file is another one by
/// now: the two may not understand each other.
#[test]
fn a_worker_is_of_its_masters_program() {
    let server = linked(&numbered(1, 1));
    link(&server, "/bin/false");
    let worker = server.workers()[0];
    worker.signal(Signal::SIGKILL);
    eventually("a new worker", SOON, || {
        let workers = server.workers();
        workers.len() == 1 && workers[0] != worker
    });
    assert_eq!(pid_in(&server.get("/").body), Some(1));
    assert!(process(server.pid()).alive());
}
