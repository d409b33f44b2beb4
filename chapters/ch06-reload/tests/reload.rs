//! Reloads that fail: nothing changes for the clients, and the log says why.

mod common;

use std::fs;

use ch06_reload::Config;
use common::{
    HALF, PROGRAM, SOON, Server, installed, numbered, process, request, server,
    server_of, setup,
};
use testkit::{Program, Signal, eventually, http, pid_in};

/// The numbers of the workers that are ready.
fn ready_workers(server: &Server) -> Vec<i64> {
    let state = server.settle(|_| true);
    let workers = state["workers"].as_array().expect("an array");
    workers.iter().map(|it| it["pid"].as_i64().expect("a number")).collect()
}

/// Blocks until there are `count` lines on standard error.
#[track_caller]
fn wait_for_complaints(server: &Server, count: usize) -> String {
    eventually(&format!("{count} complaints"), SOON, || {
        server.stderr().lines().count() >= count
    });
    server.stderr().lines().nth(count - 1).expect("counted").to_owned()
}

#[test]
fn a_reload_changes_what_is_answered_and_the_number_of_workers() {
    let server = server_of(1);
    server.configure(&numbered(3, 2));
    server.reload();
    assert_eq!(pid_in(&server.get("/").body), Some(2));
    assert_eq!(server.workers().len(), 3);
    server.configure(&numbered(2, 3));
    server.reload();
    assert_eq!(pid_in(&server.get("/").body), Some(3));
    assert_eq!(server.workers().len(), 2);
    assert_eq!(server.stderr(), "");
}

/// The form that is for proxies (RFC 9112, 3.2.2).
#[test]
fn a_target_may_be_a_whole_address() {
    let server = server_of(1);
    let greeting = server.get("/").body;
    for target in ["http://localhost/", "http://localhost", "http://x/?a=/b", "/?c"]
    {
        let mut client = server.connected(&request(target));
        let response = client.read_response().expect("a response");
        assert_eq!(response.body, greeting, "{target}");
    }
    let mut client = server.connected(&request("http://localhost/none"));
    assert_eq!(client.read_response().expect("a response").status, 404);
}

#[test]
fn a_file_with_a_mistake_changes_nothing() {
    let server = server_of(2);
    let workers = ready_workers(&server);
    let load = server.load(2).start();
    let text = [
        ("workers = 0\n", ":1:11: workers: 0 is not between 1 and 1024"),
        ("\nworkers = \"two\"\n", ":2:11: workers: \"two\" is not a whole number"),
        ("[limits]\nstart = -1\n", ":2:9: limits.start: -1 is not between"),
        ("greeting = 'a\n", ":1:"),
        ("workres = 2\n", ":1:1: workres: unknown key"),
        ("folder = 'none'\n", ":1:10: folder: cannot read "),
    ];
    for (number, (config, told)) in text.iter().enumerate() {
        server.configure(config);
        server.send(Signal::SIGHUP);
        let line = wait_for_complaints(&server, number + 1);
        assert!(line.starts_with("reload: nothing is changed: "), "{line}");
        assert!(line.contains(&format!("site.toml{told}")), "{line}");
    }
    let before = text.len();
    let file = server.path("site.toml");
    let others: [(&dyn Fn(), &str); 4] = [
        (&|| fs::remove_file(&file).expect("to remove"), "No such file"),
        (&|| fs::create_dir(&file).expect("to make"), "not a regular file"),
        (
            &|| {
                fs::remove_dir(&file).expect("to remove");
                nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU)
                    .expect("to make a FIFO");
            },
            "not a regular file",
        ),
        (
            &|| {
                fs::remove_file(&file).expect("to remove");
                fs::write(&file, "#".repeat(2 << 20)).expect("to write");
            },
            "larger than 1 MiB",
        ),
    ];
    for (number, (change, told)) in others.into_iter().enumerate() {
        change();
        server.send(Signal::SIGHUP);
        let line = wait_for_complaints(&server, before + number + 1);
        assert!(line.starts_with("reload: nothing is changed: "), "{line}");
        assert!(line.contains(told), "{line}");
    }
    let report = common::none_lost(load);
    assert_eq!(report.by_pid.keys().copied().collect::<Vec<_>>(), [1]);
    assert_eq!(ready_workers(&server), workers, "the same workers serve");
    server.configure(&numbered(2, 7));
    server.reload();
    assert_eq!(pid_in(&server.get("/").body), Some(7));
}

/// The master reads only the configuration; the files of the folder are read by the
/// worker.
#[test]
fn a_folder_that_is_too_large_is_undone() {
    let server = server_of(2);
    let workers = ready_workers(&server);
    let load = server.load(2).start();
    let folder = server.path("folder");
    fs::create_dir(&folder).expect("to make");
    let large = fs::File::create(folder.join("large")).expect("to make");
    large.set_len(65 << 20).expect("to make it large");
    server.configure("workers = 2\nfolder = 'folder'\n");
    server.send(Signal::SIGHUP);
    server.wait_for_stderr("the files have more than 64 MiB in all");
    server.wait_for_stderr("reload: undone, because worker");
    common::none_lost(load);
    assert_eq!(ready_workers(&server), workers, "the same workers serve");
    assert_eq!(server.state()["generation"], 1);
    large.set_len(100).expect("to make it small");
    server.send(Signal::SIGHUP);
    server.wait_for_line("reload: done");
    server.settle(|state| state["generation"] == 3);
    assert_eq!(server.get("/large").body.len(), 100);
}

/// When the reload begins, no worker runs that has the old configuration. The server
/// can go back to it all the same.
#[test]
fn a_reload_that_fails_in_a_pause_after_a_crash_is_undone() {
    let server = server_of(1);
    let folder = server.path("folder");
    fs::create_dir(&folder).expect("to make");
    let large = fs::File::create(folder.join("large")).expect("to make");
    large.set_len(65 << 20).expect("to make it large");
    server.configure("workers = 1\nfolder = 'folder'\n");
    // A worker crashes while it is young.
    eventually("a pause", SOON, || {
        let _ = server.connected(&request("/abort")).read_response();
        server.stdout().contains("has served nothing: pause")
    });
    server.send(Signal::SIGHUP);
    server.wait_for_stderr("reload: undone, because ");
    server.settle(|state| state["generation"] == 1);
    assert_eq!(pid_in(&server.get("/").body), Some(1));
}

/// The workers of this server run a script that the test can replace.
fn scripted(start_limit: u32) -> Server {
    let config = format!("workers = 2\n[limits]\nstart = {start_limit}\n");
    let setup = setup(&config);
    let script = setup.dir.path().join("worker.sh");
    fs::write(&script, good_worker()).expect("to write");
    let script = script.to_str().expect("UTF-8").to_owned();
    setup.args(&["--exec", "sh", &script]).ready()
}

fn good_worker() -> String {
    let greeting = "pid is 1".to_owned();
    let config = Config { greeting, ..Config::default() };
    let config = serde_json::to_string(&config).expect("it is JSON");
    format!("exec {PROGRAM} worker '{config}'\n")
}

/// Reloads while `script` is the workers' program, and returns once that is undone.
#[track_caller]
fn is_undone(script: &str, start_limit: u32, rounds: usize, told: &str) {
    let server = scripted(start_limit);
    let workers = ready_workers(&server);
    let load = server.load(2).start();
    for round in 1..=rounds {
        fs::write(server.path("worker.sh"), script).expect("to write");
        server.send(Signal::SIGHUP);
        let line = wait_for_complaints(&server, round);
        assert!(line.starts_with("reload: undone, because worker"), "{line}");
        assert!(line.ends_with("failed; generation 1 serves on"), "{line}");
        server.wait_for_line(told);
    }
    assert_eq!(ready_workers(&server), workers, "the same workers serve");
    fs::write(server.path("worker.sh"), good_worker()).expect("to write");
    server.send(Signal::SIGHUP);
    server.wait_for_line("reload: done");
    common::none_lost(load);
    let now = server.settle(|state| state["generation"] == rounds + 2);
    assert_eq!(now["wanted"], 2);
}

#[test]
fn a_worker_that_never_gets_ready_is_undone() {
    is_undone("exec sleep 1000\n", 1, 1, "is not ready in time");
}

#[test]
fn a_worker_that_exits_at_once_is_undone() {
    is_undone("exit 3\n", 10, 3, "exited with code 3");
}

#[test]
fn a_worker_that_is_killed_at_once_is_undone() {
    is_undone("kill -9 $$\n", 10, 1, "was killed by SIGKILL");
}

#[test]
fn a_worker_that_crashes_as_soon_as_it_is_ready_is_undone() {
    if !installed("python3") {
        return;
    }
    is_undone(
        "exec python3 -c '
import os, socket
channel = socket.socket(fileno=int(os.environ[\"NODE_CHANNEL_FD\"]))
channel.recvmsg(65536, 64)
channel.sendall(b\"{\\\"cmd\\\":\\\"NODE_HANDLE_ACK\\\"}\\n\")
os._exit(4)
'\n",
        10,
        1,
        "exited with code 4",
    );
}

#[test]
fn a_reload_during_a_reload_is_done_once_afterwards() {
    let server = server_of(2);
    // Its worker drains for as long as this client takes, and so does the reload.
    let mut slow = server.connected(HALF[0]);
    eventually("a worker has accepted it", SOON, || {
        let held =
            |it: &testkit::Process| common::held_connections(it.pid, server.pid());
        server.workers().iter().map(held).sum::<usize>() == 1
    });
    server.configure(&numbered(2, 2));
    server.send(Signal::SIGHUP);
    server.wait_for_line("reload: done, generation 2");
    for number in 3..=6 {
        server.configure(&numbered(2, number));
        server.send(Signal::SIGHUP);
        // The answer comes after it: the signals are taken one by one.
        server.state();
    }
    slow.send_raw(HALF[1]).expect("the rest");
    assert_eq!(slow.read_response().expect("a response").status, 200);
    drop(slow);
    server.wait_for_line("reload: done, generation 3");
    server.settle(|state| state["generation"] == 3);
    assert_eq!(pid_in(&server.get("/").body), Some(6), "the newest file counts");
    assert!(!server.stdout().contains("generation 4"), "{}", server.stdout());
}

/// A running worker keeps what it has read.
#[test]
fn without_its_folder_the_workers_serve_on() {
    let server = server("workers = 1\n");
    let folder = server.path("folder");
    fs::create_dir(&folder).expect("to make");
    fs::write(folder.join("page.html"), "old").expect("to write");
    server.configure("workers = 1\nfolder = 'folder'\n");
    server.reload();
    fs::remove_dir_all(&folder).expect("to remove");
    server.send(Signal::SIGHUP);
    server.wait_for_stderr("reload: nothing is changed");
    assert_eq!(server.get("/page.html").body, "old");
    // But a worker that replaces another one finds no folder.
    let worker = process(ready_workers(&server)[0] as i32);
    worker.signal(Signal::SIGKILL);
    wait_for_complaints(&server, 2);
    let new = server.path("new");
    fs::create_dir(&new).expect("to make");
    fs::write(new.join("page.html"), "new").expect("to write");
    fs::rename(new, folder).expect("to rename");
    eventually("a worker serves", SOON, || http::get(server.addr()).is_ok());
    assert_eq!(server.get("/page.html").body, "new");
}

/// A reload with a good file is the way out when no worker can start any more.
#[test]
fn a_reload_ends_a_row_of_crashes() {
    let server = server("workers = 2\n");
    let folder = server.path("folder");
    fs::create_dir(&folder).expect("to make");
    server.configure("workers = 2\nfolder = 'folder'\n");
    server.reload();
    fs::remove_dir_all(&folder).expect("to remove");
    server.workers().into_iter().for_each(|it| common::signal(it, Signal::SIGKILL));
    server.wait_for_lines("has served nothing: pause", 2);
    server.configure(&numbered(2, 3));
    server.send(Signal::SIGHUP);
    server.settle(|state| state["generation"] == 3);
    assert_eq!(pid_in(&server.get("/").body), Some(3));
}

#[test]
fn there_is_always_one_worker_at_least() {
    let server = server_of(3);
    for _ in 0..5 {
        server.send(Signal::SIGTTOU);
        server.state();
    }
    server.settle(|state| state["wanted"] == 1);
    server.send(Signal::SIGTTIN);
    server.settle(|state| state["wanted"] == 2);
    // The file counts again after a reload.
    server.reload();
    assert_eq!(server.state()["wanted"], 3);
}

/// Many reloads at once, and none of them leaves a worker behind.
#[test]
fn a_hundred_signals_leave_one_generation() {
    let server = server_of(2);
    for _ in 0..100 {
        server.send(Signal::SIGHUP);
    }
    eventually("each reload that has begun is done", SOON, || {
        let log = server.stdout();
        let count = |word: &str| log.lines().filter(|it| it.contains(word)).count();
        count(" begins") > 0 && count(" begins") == count("reload: done")
    });
    let state = server.settle(|state| state["generation"].as_u64() > Some(1));
    assert_eq!(server.workers().len(), 2, "{state}");
}

/// A server that nohup(1) has started can be reloaded, too.
#[test]
fn nohup_does_not_stop_a_reload() {
    let server = Program::new("nohup")
        .args([PROGRAM, "--port", "0", "--workers", "1"])
        .start();
    server.wait_for_line("is ready");
    server.signal(Signal::SIGHUP);
    server.wait_for_line("reload: done");
}
