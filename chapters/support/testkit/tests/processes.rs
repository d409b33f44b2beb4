//! What `/proc` tells of a process.

mod common;

use std::fs::File;
use std::time::Duration;

use common::{panic_of, sh};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use testkit::{
    Process, Program, Signal, alive, children_of, cpu_time, descendants_of,
    eventually, fds, threads, zombies_of,
};

const LONG: Duration = Duration::from_secs(10);

#[test]
fn children_and_their_children() {
    let program = sh("sh -c 'sleep 1000 & wait' & wait").start();
    eventually("a child and a grandchild", LONG, || {
        program.descendants().len() == 2
    });
    let children = program.children();
    assert_eq!(children.len(), 1);
    assert_eq!(children_of(program.pid()), children);
    assert_eq!(descendants_of(program.pid()), program.descendants());
    assert_eq!(descendants_of(children[0].pid), program.descendants()[1..]);
    assert_eq!(program.processes().len(), 3);
}

#[test]
fn a_zombie_is_not_alive() {
    // The shell becomes a sleep, which never calls waitpid.
    let program = sh("sh -c 'exit 0' & exec sleep 1000").start();
    eventually("a zombie", LONG, || zombies_of(program.pid()).len() == 1);
    let zombie = zombies_of(program.pid())[0];
    assert!(!zombie.alive() && zombie.exists() && !alive(zombie.pid));
    assert!(!zombie.signal(Signal::SIGTERM));
    assert_eq!(program.children(), []);
}

#[test]
fn another_process_with_the_same_pid_is_not_this_one() {
    let program = Program::new("sleep").arg("1000").start();
    let process = program.process();
    let former = Process { start_time: process.start_time - 1, ..process };
    assert!(process.alive() && process.exists());
    assert!(!former.alive() && !former.exists() && !former.signal(Signal::SIGKILL));
    drop(program);
    assert!(!process.alive() && !process.exists(), "dropping reaps");
    assert_eq!(Process::of(process.pid).filter(|p| *p == process), None);
}

#[test]
fn process_one_is_never_signaled() {
    for pid in [1, 0, -1] {
        let process = Process { pid, start_time: 0 };
        assert!(panic_of(|| process.signal(Signal::SIGCONT)).contains("refusing"));
    }
}

#[test]
fn descriptors_are_listed() {
    let (program, _channel) = Program::new("sleep").arg("1000").channel();
    let program = program.start();
    // While the dynamic linker runs, libraries are open as well.
    eventually("three and the channel, no more", LONG, || {
        fds(program.pid()).len() == 4
    });
    let found = fds(program.pid());
    assert_eq!(found[0], (0, "/dev/null".into()));
    assert!(
        found[1].1.starts_with("pipe:") && found[2].1.starts_with("pipe:"),
        "{found:?}"
    );
    assert!(found[3].1.starts_with("socket:"), "{found:?}");
    assert_eq!(fds(i32::MAX), []);
}

#[test]
fn what_the_tests_inherited_is_not_passed_on() {
    // As if the terminal had left a descriptor open.
    let file = File::open("/dev/zero").expect("it is there");
    let open = FcntlArg::F_SETFD(FdFlag::empty());
    fcntl(&file, open).expect("our own file");
    let program = Program::new("sleep").arg("1000").start();
    let numbers = || fds(program.pid()).iter().map(|f| f.0).collect::<Vec<_>>();
    eventually("the standard three, no more", LONG, || numbers() == [0, 1, 2]);
}

#[test]
fn cpu_time_grows_with_work_only() {
    let busy = sh("while :; do :; done").start();
    let idle = Program::new("sleep").arg("1000").start();
    let some = Duration::from_millis(100);
    eventually("a busy program uses CPU", LONG, || cpu_time(busy.pid()) >= some);
    assert!(cpu_time(idle.pid()) < some);
    assert_eq!(cpu_time(i32::MAX), Duration::ZERO);
}

#[test]
fn threads_are_counted() {
    let program = Program::new("sleep").arg("1000").start();
    assert_eq!(threads(program.pid()), 1);
    assert!(threads(std::process::id() as i32) > 1);
    assert_eq!(threads(i32::MAX), 0);
}
