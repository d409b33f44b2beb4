//! When the time for all tests is up, they fail, and their programs are killed.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use testkit::{Program, Running, Signal, eventually, try_eventually};

/// Far longer than the tests may take.
const LONG: Duration = Duration::from_secs(60);

/// A program that never does what the tests below wait for.
fn sleeper() -> Program {
    Program::new("sleep").arg("300").sandboxed()
}

/// Starts a program that alone has a listener open, and never accepts.
fn listening() -> (Running, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    (sleeper().stdin(OwnedFd::from(listener)).start(), addr)
}

/// No tests: the last test of this file runs them in a process of its own. Each waits
/// for something that happens only because its program is killed when the time is up, or
/// for something that must not happen. So none of them may pass.
mod victims {
    use super::*;

    #[test]
    #[ignore = "the last test runs it"]
    fn waits_for_an_exit() {
        let program = sleeper().start();
        eventually("it exits", LONG, || program.try_wait().is_some());
    }

    #[test]
    #[ignore = "the last test runs it"]
    fn waits_for_an_exit_in_a_loop_of_its_own() {
        let program = sleeper().start();
        while program.try_wait().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    #[ignore = "the last test runs it"]
    fn waits_until_no_process_is_left() {
        let program = sleeper().start();
        let process = program.process();
        let gone = || (!process.alive()).then_some(());
        assert!(try_eventually(LONG, gone).is_some(), "{}", program.describe());
    }

    #[test]
    #[ignore = "the last test runs it"]
    fn waits_for_a_refused_connection() {
        let (_program, addr) = listening();
        let refused = || TcpStream::connect(addr).err();
        assert!(try_eventually(LONG, refused).is_some(), "it is refused");
    }

    #[test]
    #[ignore = "the last test runs it"]
    fn waits_for_the_end_of_a_stream() {
        let (program, mut channel) = sleeper().channel();
        let _program = program.start();
        assert_eq!(channel.read(&mut [0]).expect("the end"), 0);
    }

    #[test]
    #[ignore = "the last test runs it"]
    fn waits_for_the_end_of_its_output() {
        let program = sleeper().start();
        eventually("its output ends", LONG, || program.output_ended());
    }

    #[test]
    #[ignore = "the last test runs it"]
    fn waits_for_a_line() {
        sleeper().start().wait_for_line("hello");
    }

    #[test]
    #[ignore = "the last test runs it"]
    fn waits_with_wait() {
        let program = sleeper().start();
        program.signal(Signal::SIGCONT);
        program.wait(LONG);
    }

    #[test]
    #[ignore = "the last test runs it"]
    fn waits_for_its_output() {
        sleeper().limit(LONG).output();
    }

    #[test]
    #[ignore = "the last test runs it"]
    fn looks_for_what_must_not_happen() {
        let _program = sleeper().start();
        assert!(try_eventually(LONG, || None::<()>).is_none(), "nothing happens");
    }
}

#[test]
fn no_test_passes_because_its_program_was_killed() {
    let itself = std::env::current_exe().expect("this test program");
    let arguments = ["victims::", "--ignored", "--test-threads", "16"];
    let tests = Program::new(itself).args(arguments).env("TEST_SECONDS", "0.2");
    let output = tests.output();
    let said = output.stdout;
    assert!(said.contains("test result: FAILED. 0 passed; 10 failed"), "{said}");
    let told = "All tests together may take 0.2 s";
    assert_eq!(output.stderr.matches(told).count(), 1, "{}", output.stderr);
}
