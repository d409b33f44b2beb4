//! The guided tour.

mod common;

use common::{LONG, masked, program};
use testkit::{
    Output, Signal, assert_all_gone, eventually, node, node_program, try_eventually,
};

const TOUR: &str = r#"1. A child sends a message and exits
   spawn       pid PID
   message     message "hi"
   disconnect
   exit        code 0, signal null
   close       code 0, signal null
2. A child exits with a code
   spawn       pid PID
   disconnect
   exit        code 7, signal null
   close       code 7, signal null
3. A child is killed, with the signal that kill(1) sends
   spawn       pid PID
   message     message "ready"
   disconnect
   exit        code null, signal "SIGTERM"
   close       code null, signal "SIGTERM"
4. A child traps that signal, and exits with 1
   spawn       pid PID
   message     message "ready"
   disconnect
   exit        code 1, signal null
   close       code 1, signal null
5. A child sends the signal to itself
   spawn       pid PID
   disconnect
   exit        code null, signal "SIGTERM"
   close       code null, signal "SIGTERM"
6. A child cannot be started
   error       code "ENOENT", message "cannot start ./no-such-program: No such file or directory"
   disconnect
   close       code -2, signal null
7. A child closes the channel
   spawn       pid PID
   disconnect
   exit        code 3, signal null
   close       code 3, signal null
8. The parent closes the channel
   spawn       pid PID
   message     message "ready"
   disconnect
   exit        code 0, signal null
   close       code 0, signal null
9. The parent closes the channel, and sends all the same
   spawn       pid PID
   message     message "ready"
   disconnect
   error       code "ERR_IPC_CHANNEL_CLOSED", message "the channel is closed"
   exit        code 0, signal null
   close       code 0, signal null
10. The parent itself receives a signal
   signal      SIGUSR1"#;

#[track_caller]
fn assert_toured(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    assert_eq!(masked(&output.stdout).join("\n"), TOUR);
    assert_eq!(output.stderr, "");
}

#[test]
fn the_tour_has_ten_stops_and_twenty_tours_are_the_same() {
    for _ in 0..20 {
        assert_toured(&program().output());
    }
}

#[test]
fn node_children_make_the_same_tour() {
    let Some(node) = node() else { return };
    let script = node_program(include_str!("node/tour_child.js"));
    assert_toured(&program().arg("--exec").arg(node).arg(&script).output());
}

#[test]
fn a_signal_in_the_middle_stops_the_tour_and_kills_its_child() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        // This child ignores its last argument, which says what to do.
        let tour =
            program().args(["--exec", "bash", "-c", "sleep 1000; exit"]).start();
        tour.wait_for_line("spawn");
        eventually("the child is there", LONG, || tour.processes().len() >= 2);
        let family = tour.processes();
        tour.signal(signal);
        assert_eq!(tour.wait(LONG).code(), Some(code));
        tour.wait_for_stderr(&format!("got {signal}: the tour stops here"));
        assert_all_gone(&family[..2], None, LONG);
        // The tour does not know the child of bash. `testkit` kills it.
        assert!(
            try_eventually(LONG, || tour.children().is_empty().then_some(()))
                .is_some()
        );
    }
}
