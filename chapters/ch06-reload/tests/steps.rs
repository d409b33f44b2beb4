//! The steps: each loses or cannot do what its page says, and the next one does not
//! and can.

use std::{
    env, fs, net::SocketAddr, os::unix::fs::symlink, path::PathBuf, time::Duration,
};

use testkit::{
    Process, Program, Running, Signal, TempDir, assert_all_gone, eventually,
    http::{self, Client},
    temp_dir,
};

const SOON: Duration = Duration::from_secs(15);

/// The first bytes of a request, and the others.
const HALF: [&[u8]; 2] = [b"GET / HTTP/1.1\r\nHo", b"st: localhost\r\n\r\n"];

/// `cargo test` builds the examples beside the tests.
fn path(name: &str) -> PathBuf {
    let own = env::current_exe().expect("a path");
    let target = own.ancestors().nth(2).expect("target/debug/deps/steps-…");
    let path = target.join("examples").join(name);
    assert!(
        path.exists(),
        "no {path:?}: run cargo build -p ch06-reload --examples"
    );
    path
}

/// Runs a step that reads a greeting, in a folder of its own.
fn step(name: &str) -> (Running, TempDir) {
    let folder = temp_dir();
    folder.write("greeting.txt", "hello\n");
    let step =
        Program::new(path(name)).arg("127.0.0.1:0").cwd(folder.path()).start();
    step.addr();
    eventually("two workers", SOON, || step.children().len() == 2);
    (step, folder)
}

fn greeting(addr: SocketAddr) -> String {
    http::get(addr).expect("a response").body
}

/// A client that has sent half a request, which a worker has accepted.
fn half_request(step: &Running) -> Client {
    let open =
        || step.processes().iter().map(|it| testkit::fds(it.pid).len()).sum();
    greeting(step.addr()); // the workers are ready
    let before: usize = open();
    let mut client = Client::connect(step.addr()).expect("to connect");
    client.send_raw(HALF[0]).expect("to send");
    eventually("it is accepted", SOON, || open() > before);
    client
}

/// The rest of the request is answered.
fn completes(mut client: Client) -> bool {
    let sent = client.send_raw(HALF[1]);
    sent.and_then(|()| client.read_response()).is_ok()
}

#[test]
fn hup_restart_cuts_off_a_request_and_rolling_does_not() {
    for (name, answered) in [("hup_restart", false), ("rolling", true)] {
        let (step, folder) = step(name);
        let client = half_request(&step);
        let old = step.children();
        folder.write("greeting.txt", "good day\n");
        step.signal(Signal::SIGHUP);
        eventually("new workers", SOON, || {
            let new = step.children();
            new.iter().filter(|it| !old.contains(it)).count() == 2
        });
        assert_eq!(completes(client), answered, "{name}");
        eventually("no old worker", SOON, || greeting(step.addr()) == "good day\n");
        assert_all_gone(&old, None, SOON);
    }
}

#[test]
fn a_bad_file_leaves_hup_restart_without_workers_and_rolling_as_it_was() {
    for (name, workers) in [("hup_restart", 0), ("rolling", 2)] {
        let (step, folder) = step(name);
        greeting(step.addr());
        let old = step.children();
        fs::remove_file(folder.path().join("greeting.txt")).expect("to remove");
        step.signal(Signal::SIGHUP);
        step.wait_for_line("exits: Err");
        eventually("what is left", SOON, || step.children().len() == workers);
        if workers == 2 {
            assert_eq!(step.children(), old);
            assert_eq!(greeting(step.addr()), "hello\n");
        }
    }
}

#[test]
fn exec_listener_passes_the_listener_on_and_answers_what_it_has_accepted() {
    let folder = temp_dir();
    let file = folder.path().join("server");
    let install = |program: PathBuf| {
        let _ = fs::remove_file(&file);
        symlink(program, &file).expect("to make a link");
    };
    install(path("exec_listener"));
    let step = Program::new(&file).arg("127.0.0.1:0").start();
    let client = half_request(&step);
    let by = |pid: i32| format!("answered by process {pid}\n");

    install("/bin/false".into());
    step.signal(Signal::SIGUSR2);
    step.wait_for_line("the new program: Ok");
    assert_eq!(greeting(step.addr()), by(step.pid()));

    install(path("exec_listener"));
    step.signal(Signal::SIGUSR2);
    let line = step.wait_for_lines("listening on", 2).remove(1);
    let pid = line.strip_prefix("process ").and_then(|it| it.split(':').next());
    let new = pid.and_then(|pid| Process::of(pid.parse().ok()?)).expect(&line);
    // The old program may accept for a moment, and answers what it has accepted.
    eventually("the new program serves alone", SOON, || {
        (0..5).all(|_| greeting(step.addr()) == by(new.pid))
    });
    assert!(completes(client), "the old program has accepted it");
    step.wait(SOON);
    assert_eq!(greeting(step.addr()), by(new.pid));
    new.signal(Signal::SIGTERM);
    assert_all_gone(&[new], Some(step.port()), SOON);
}

#[test]
fn no_worker_of_a_step_outlives_its_parent() {
    for name in ["hup_restart", "rolling"] {
        for end in [Signal::SIGKILL, Signal::SIGTERM] {
            let (step, _folder) = step(name);
            let (family, port) = (step.processes(), step.port());
            let _slow = half_request(&step);
            step.signal(end);
            assert_all_gone(&family, Some(port), Duration::from_secs(2));
        }
    }
}
