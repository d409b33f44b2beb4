//! When the system allows no further process.

mod common;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use common::{DISCONNECT, exited};
use testkit::{Program, temp_dir};

/// `ulimit -u` does not bind root. If the tests run as root, they start the
/// program as another user.
#[test]
fn a_fork_that_is_refused_is_an_event() {
    let dir = temp_dir();
    // That user may have no access to the build's directory.
    let program = dir.path().join("ch04-events");
    fs::copy(env!("CARGO_BIN_EXE_ch04-events"), &program).expect("a copy");
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("chmod");

    let limited = ["bash", "-c", "ulimit -u 1; cd /; exec \"$0\" watch -- true"];
    let as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let root = fs::metadata("/proc/self").expect("Linux").uid() == 0;
    let words = if root {
        if !Program::new("sh")
            .args(["-c", "command -v setpriv"])
            .output()
            .status
            .success()
        {
            eprintln!(
                "skipped: root is not bound by this limit, and there is no setpriv"
            );
            return;
        }
        [&as_nobody[..], &limited].concat()
    } else {
        limited.to_vec()
    };
    let output = Program::new(words[0]).args(&words[1..]).arg(&program).output();
    let [_, close] = exited(-11);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(lines[0].starts_with(
        r#"{"event":"error","code":"EAGAIN","message":"cannot start true"#
    ));
    assert_eq!(lines[1..], [DISCONNECT, &close], "{}", output.stderr);
}
