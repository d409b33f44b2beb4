//! What a program in a sandbox may try. Nothing that it does lasts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use testkit::sandbox::{MAX_PROCESSES, ProcessLimit};
use testkit::{Output, Process, Program, eventually, temp_dir};

/// For a program that cannot exit by itself.
const SHORT: Duration = Duration::from_millis(500);

/// A program that does harm.
fn hostile(script: &str) -> Program {
    Program::new("/bin/bash")
        .args(["-c", script])
        .sandboxed()
        .limit(Duration::from_secs(3))
}

/// One program at a time: the kernel counts the processes of a user, and that is
/// the same one in all sandboxes.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs it; `Err` is the message of the test that would fail.
fn run(program: Program) -> Result<Output, String> {
    let _alone = ONE_AT_A_TIME.lock();
    let began = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| program.output()));
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "it took {:?}",
        began.elapsed()
    );
    result.map_err(|panic| {
        panic.downcast_ref::<String>().cloned().unwrap_or_default()
    })
}

/// All processes of the machine with this mark on their command line.
fn with_mark(mark: &str) -> Vec<Process> {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let others =
        pids.filter(|&pid| pid != process::id() as i32).filter_map(Process::of);
    others.filter(|it| it.command_line().contains(mark)).collect()
}

fn assert_nothing_is_left(mark: &str) {
    eventually(
        &format!("nothing is left of {mark}"),
        Duration::from_secs(10),
        || with_mark(mark).is_empty(),
    );
}

#[test]
fn a_program_that_never_exits_is_killed() {
    let script = "trap '' TERM INT HUP; while :; do :; done # loops-for-ever";
    let said = run(hostile(script).limit(SHORT)).expect_err("it loops for ever");
    assert!(said.contains("should have exited within 500ms"), "{said}");
    assert_nothing_is_left("loops-for-ever");
}

#[test]
fn a_child_that_detaches_itself_is_found() {
    // Another session, no parent, no environment: only its new parent can find it.
    let script = "env -i setsid bash -c 'exec -a detached-one sleep 300' >/dev/null 2>&1 </dev/null & \
                  exit 0";
    let output = run(hostile(script)).expect("its parent exits at once");
    assert!(output.status.success());
    assert_nothing_is_left("detached-one");
}

#[test]
fn a_fork_bomb_is_limited_and_killed() {
    let _ = run(hostile("bomb() { bomb & bomb & wait; }; bomb # fork-bomb-one"));
    assert_nothing_is_left("fork-bomb-one");
}

#[test]
fn a_fork_bomb_whose_children_detach_is_killed() {
    let script = "f() { setsid bash -c \"$1\" \"$1\" & setsid bash -c \"$1\" \"$1\" & }; \
                  export -f f; f 'f \"$0\"; sleep 5 # fork-bomb-two'; wait";
    let _ = run(hostile(script));
    assert_nothing_is_left("fork-bomb-two");
}

#[test]
fn the_number_of_processes_is_limited_by_the_kernel_or_by_the_watchdog() {
    let script = "for i in $(seq 200); do sleep 300 & done; wait # many-sleepers";
    let said = run(hostile(script)).expect_err("200 are too many");
    let expected = format!("{MAX_PROCESSES} is the limit");
    // The kernel's limit (ProcessLimit::Kernel) is a little higher.
    let refused = said.contains("Resource temporarily unavailable");
    eprintln!("limited by the {:?}", ProcessLimit::of("/bin/bash"));
    assert!(said.contains(&expected) || refused, "{said}");
    assert_nothing_is_left("many-sleepers");
}

#[test]
fn a_program_that_prints_without_end_is_killed() {
    let said = run(hostile("yes prints-without-end"))
        .expect_err("it never exits by itself");
    assert!(
        said.contains("printed more than 1 MiB"),
        "{}",
        &said[..said.len().min(500)]
    );
    assert_nothing_is_left("prints-without-end");
}

#[test]
fn a_program_that_wants_all_memory_does_not_get_it() {
    let output = run(hostile("dd if=/dev/zero of=/dev/null bs=3G count=1"))
        .expect("it exits");
    assert!(
        !output.status.success() && output.stderr.contains("memory"),
        "{output:?}"
    );
}

#[test]
fn a_program_that_fills_the_disk_is_stopped() {
    let dir = temp_dir();
    let file = dir.path().join("big");
    // The sandbox may run the program as another user.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(dir.path(), open).expect("chmod");
    let script = format!("head -c 100M /dev/zero > {}", file.display());
    let _ = run(hostile(&script));
    let length = std::fs::metadata(&file).map_or(0, |it| it.len());
    assert!(length <= 16 << 20, "the file has {length} bytes");
}

#[test]
fn a_program_that_kills_itself_leaves_no_child() {
    let script = "sleep 301 & sleep 301 & kill -9 $$";
    let output = run(hostile(script).limit(SHORT));
    assert!(output.is_err(), "its children still hold its output: {output:?}");
    assert_nothing_is_left("sleep 301");
}

#[test]
fn it_can_signal_neither_all_processes_nor_the_tests() {
    let output =
        run(hostile("kill -9 -1 || echo refused; kill -9 $PPID || echo refused"));
    let output = output.expect("it exits by itself");
    assert_eq!(output.stdout, "refused\nrefused\n", "{output:?}");
}

#[test]
fn it_can_signal_its_own_child() {
    let output = run(hostile("sleep 302 & kill -9 $!; wait $! || echo killed"));
    assert_eq!(output.expect("it exits").stdout, "killed\n");
}
