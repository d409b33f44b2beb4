//! Children that break the protocol. Each fault is an event, and `watch` goes on.

mod common;

use std::{
    env, fs,
    io::IoSlice,
    os::fd::{AsRawFd, RawFd},
};

use common::{
    DISCONNECT, LONG, SPAWN, assert_events, bash, exited, masked, message, watch,
};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use testkit::{Output, Program, fds};

/// The codes of the error events, and all other lines.
fn errors(output: &Output) -> (Vec<String>, Vec<String>) {
    let (errors, others): (Vec<_>, Vec<_>) = masked(&output.stdout)
        .into_iter()
        .partition(|line| line.contains("\"error\""));
    let code = |line: String| line.split('"').nth(7).unwrap_or_default().to_owned();
    (errors.into_iter().map(code).collect(), others)
}

#[test]
fn garbage_is_an_error_and_the_next_message_comes() {
    let script = "say 1; say garbage; say ''; say '{\"a\":'; printf '\\xff\\xfe\\n' >&$fd; say 2";
    let output = watch(&[], bash(script)).output();
    let (codes, others) = errors(&output);
    assert_eq!(codes, ["EBADMSG"; 4], "{}", output.stdout);
    let [exit, close] = exited(0);
    assert_eq!(
        others,
        [SPAWN, &message("1"), &message("2"), DISCONNECT, &exit, &close]
    );
}

#[test]
fn half_a_line_and_the_end_is_an_error() {
    let output =
        watch(&[], bash("say 1; printf '{\"half\":' >&$fd; exit 2")).output();
    let text = "the channel ended in the middle of a line";
    let error =
        format!(r#"{{"event":"error","code":"EBADMSG","message":"{text}"}}"#);
    let [exit, close] = exited(2);
    assert_events(
        &output,
        [SPAWN, &message("1"), &error, DISCONNECT, &exit, &close],
    );
}

#[test]
fn a_line_without_end_is_an_error_and_is_not_kept() {
    let script = "head -c 40000000 /dev/zero | tr '\\0' 1 >&$fd; exec sleep 1000";
    let running = watch(&[], bash(script)).start();
    running.wait_for_line(DISCONNECT);
    let text = "a line on the channel is longer than 16 MiB";
    let error =
        format!(r#"{{"event":"error","code":"EMSGSIZE","message":"{text}"}}"#);
    assert_eq!(masked(&running.stdout()), [SPAWN, &error, DISCONNECT]);
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid()))
        .expect("it runs");
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak < 120_000, "it has used {peak} kB for a line of 16 MiB");
}

#[test]
fn a_flood_arrives_whole_and_in_order() {
    let output = watch(&[], bash("seq 1 100000 >&$fd; exit 1")).output();
    let [exit, close] = exited(1);
    let mut expected = vec![SPAWN.to_owned()];
    expected.extend((1..=100_000).map(|n| message(&n.to_string())));
    expected.extend([DISCONNECT.to_owned(), exit, close]);
    let seen = masked(&output.stdout);
    // Not assert_eq: it would print all of them.
    let wrong =
        seen.iter().zip(&expected).find(|(seen, expected)| seen != expected);
    assert_eq!(wrong, None, "the first that is not as it was sent");
    assert_eq!(seen.len(), expected.len());
}

#[test]
fn a_handle_message_without_its_descriptor_is_an_error() {
    let handle = r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":1}"#;
    let script =
        format!("say '{handle}'; read -r nack <&$fd; say \"$nack\"; say 2; exit 3");
    let output = watch(&[], bash(&script)).output();
    let (codes, others) = errors(&output);
    assert_eq!(codes.len(), 1, "{}", output.stdout);
    let [exit, close] = exited(3);
    // The child has sent the NACK back. It is an internal message and never shown.
    assert_eq!(others, [SPAWN, &message("2"), DISCONNECT, &exit, &close]);
}

#[test]
fn internal_messages_are_never_shown() {
    let commands = [
        "",
        "_ACK",
        "_NACK",
        "_HANDLE_ACK",
        "_HANDLE_NACK",
        "_SOCKET_ALL_CLOSED",
        "_x",
    ];
    let mut script = String::new();
    for cmd in commands.into_iter().filter(|cmd| !cmd.is_empty()) {
        script += &format!("say '{{\"cmd\":\"NODE{cmd}\",\"key\":\"k\"}}';");
    }
    script += "say '{\"cmd\":\"NODE\"}'; say '{\"cmd\":[\"NODE_\"]}'";
    let output = watch(&[], bash(&script)).output();
    let (shown, also) =
        (message("{\"cmd\":\"NODE\"}"), message("{\"cmd\":[\"NODE_\"]}"));
    let [exit, close] = exited(0);
    assert_events(&output, [SPAWN, &shown, &also, DISCONNECT, &exit, &close]);
}

/// Not a test: the child of the next test. It sends descriptors without an
/// envelope.
#[test]
#[ignore = "the test below runs it"]
fn sends_descriptors_for_nothing() {
    let Ok(channel) = env::var("NODE_CHANNEL_FD") else { return };
    let channel: RawFd = channel.parse().expect("a number");
    let null = fs::File::open("/dev/null").expect("it is there");
    for count in [1, 1, 2, 253].into_iter().cycle().take(2000) {
        let numbers = vec![null.as_raw_fd(); count];
        let rights = [ControlMessage::ScmRights(&numbers)];
        let bytes = [IoSlice::new(b"1\n")];
        let flags = MsgFlags::empty();
        sendmsg::<()>(channel, &bytes, &rights, flags, None)
            .expect("the parent reads");
    }
    sendmsg::<()>(
        channel,
        &[IoSlice::new(b"\"done\"\n")],
        &[],
        MsgFlags::empty(),
        None,
    )
    .expect("the parent reads");
    std::thread::sleep(LONG * 4);
}

#[test]
fn descriptors_that_were_sent_for_nothing_do_not_pile_up() {
    let this = env::current_exe().expect("this program").display().to_string();
    let child =
        ["--exact", "sends_descriptors_for_nothing", "--ignored", "--nocapture"];
    let program: Program = watch(&[], [&*this].into_iter().chain(child));
    let running = program.start();
    running.wait_for_line(&message("\"done\""));
    assert_eq!(
        running.stdout().matches("\"message\":1}").count(),
        2000,
        "all have arrived"
    );
    let held = fds(running.pid());
    assert!(held.len() < 32, "it holds {} descriptors: {held:?}", held.len());
}
