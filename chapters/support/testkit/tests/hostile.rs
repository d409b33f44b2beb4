//! What a program in a cell may try, and what comes of it. Nothing it does may last.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use testkit::cell::{Bound, MAX_PROCESSES};
use testkit::{Output, Process, Program, eventually, temp_dir};

/// A program that does its worst.
fn hostile(script: &str) -> Program {
    Program::new("/bin/bash")
        .args(["-c", script])
        .in_cell()
        .limit(Duration::from_secs(3))
}

/// One after another: the kernel counts the processes of a user, and that is the same in all cells.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs it, and tells what a test that uses it would say.
fn verdict(program: Program) -> Result<Output, String> {
    let _alone = ALONE.lock();
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

/// Processes with this mark on their command line, wherever they are.
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
fn one_that_never_ends_is_ended() {
    let said = verdict(hostile(
        "trap '' TERM INT HUP; while :; do :; done # loops-for-ever",
    ))
    .expect_err("a loop without end");
    assert!(said.contains("should have ended within 3s"), "{said}");
    assert_nothing_is_left("loops-for-ever");
}

#[test]
fn a_child_that_detaches_itself_is_found() {
    // Another session, no parent, no environment: only who adopts it can find it.
    let script = "env -i setsid bash -c 'exec -a detached-one sleep 300' >/dev/null 2>&1 </dev/null & \
                  exit 0";
    let output = verdict(hostile(script)).expect("its parent ends at once");
    assert!(output.status.success());
    assert_nothing_is_left("detached-one");
}

#[test]
fn a_fork_bomb_is_bounded_and_ended() {
    let _ =
        verdict(hostile("bomb() { bomb & bomb & wait; }; bomb # fork-bomb-one"));
    assert_nothing_is_left("fork-bomb-one");
}

#[test]
fn a_fork_bomb_whose_children_detach_is_ended() {
    let script = "f() { setsid bash -c \"$1\" \"$1\" & setsid bash -c \"$1\" \"$1\" & }; \
                  export -f f; f 'f \"$0\"; sleep 5 # fork-bomb-two'; wait";
    let _ = verdict(hostile(script));
    assert_nothing_is_left("fork-bomb-two");
}

#[test]
fn the_number_of_processes_is_bounded_by_the_kernel_or_by_the_warden() {
    let script = "for i in $(seq 200); do sleep 300 & done; wait # many-sleepers";
    let said = verdict(hostile(script)).expect_err("200 are too many");
    let expected = format!("{MAX_PROCESSES} is the limit");
    // The kernel, where it is a limit for this program (Bound::Kernel), comes in a little later.
    let refused = said.contains("Resource temporarily unavailable");
    eprintln!("bounded by the {:?}", Bound::of("/bin/bash"));
    assert!(said.contains(&expected) || refused, "{said}");
    assert_nothing_is_left("many-sleepers");
}

#[test]
fn one_that_prints_without_end_is_ended() {
    let said = verdict(hostile("yes prints-without-end"))
        .expect_err("it never ends by itself");
    assert!(
        said.contains("printed more than 1 MiB"),
        "{}",
        &said[..said.len().min(500)]
    );
    assert_nothing_is_left("prints-without-end");
}

#[test]
fn one_that_takes_all_memory_is_refused_it() {
    let output = verdict(hostile("dd if=/dev/zero of=/dev/null bs=3G count=1"))
        .expect("it ends");
    assert!(
        !output.status.success() && output.stderr.contains("memory"),
        "{output:?}"
    );
}

#[test]
fn one_that_fills_the_disk_is_stopped() {
    let dir = temp_dir();
    let file = dir.path().join("big");
    // Everybody may write here, whoever the cell has made of the program.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(dir.path(), open).expect("chmod");
    let script = format!("head -c 100M /dev/zero > {}", file.display());
    let _ = verdict(hostile(&script));
    let length = std::fs::metadata(&file).map_or(0, |it| it.len());
    assert!(length <= 16 << 20, "the file has {length} bytes");
}

#[test]
fn one_that_ends_itself_leaves_no_child() {
    let script = "sleep 301 & sleep 301 & kill -9 $$";
    let output = verdict(
        Program::new("/bin/bash")
            .args(["-c", script])
            .in_cell()
            .limit(Duration::from_secs(3)),
    );
    assert!(output.is_err(), "what it started still holds its output: {output:?}");
    assert_nothing_is_left("sleep 301");
}

#[test]
fn it_can_signal_neither_everybody_nor_the_tests() {
    let output = verdict(hostile(
        "kill -9 -1 || echo refused; kill -9 $PPID || echo refused",
    ));
    let output = output.expect("it lives to its end");
    assert_eq!(output.stdout, "refused\nrefused\n", "{output:?}");
}

#[test]
fn it_can_signal_its_own() {
    let output = verdict(hostile("sleep 302 & kill -9 $!; wait $! || echo killed"));
    assert_eq!(output.expect("it ends").stdout, "killed\n");
}
