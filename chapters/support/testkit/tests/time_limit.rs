//! When the time for all tests is up, they fail, and their programs are killed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use testkit::{Program, assert_all_gone, eventually};

#[test]
fn a_test_that_waits_for_ever_fails_and_says_why() {
    // In a process of its own, which has 2 s, and whose standard error can be read.
    if std::env::var_os("TEST_SECONDS").is_none_or(|it| it != "2") {
        let itself = std::env::current_exe().expect("this test program");
        let output = Program::new(itself).env("TEST_SECONDS", "2").output();
        assert!(output.status.success(), "{output:?}");
        assert!(
            output.stderr.contains("All tests together may take 2 s"),
            "{output:?}"
        );
        return;
    }
    let began = Instant::now();
    let server = Program::new("sleep").arg("300").sandboxed().start();
    let family = server.processes();
    let said = catch_unwind(AssertUnwindSafe(|| {
        eventually("it never happens", Duration::from_secs(60), || false);
    }));
    assert!(
        said.is_err() && began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert_all_gone(&family, None, Duration::from_secs(2));
    let said = catch_unwind(AssertUnwindSafe(|| server.wait_for_line("hello")));
    let said =
        said.unwrap_err().downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(said.contains("all tests together may take 2 s"), "{said}");
}
