//! A disconnect, and handles that do not reach their child.

mod common;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use ch03_handles::Handle;
use ch04_events::{Children, Event, Id};
use common::{
    LEAVES_THE_CHANNEL,
    events::{children, closed, life, shell, wait, wait_for, words},
    pipe,
};
use serde_json::{Value, json};
use testkit::{Signal, node, node_program};

/// A connection to send, and its client.
fn connection() -> (Handle, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(address).expect("it listens");
    (Handle::Tcp(listener.accept().expect("a client").0), client)
}

/// Takes the handle that came back with `message`, and answers its client.
#[track_caller]
fn assert_usable(events: Vec<Event>, message: &str, mut client: TcpStream) {
    let returned = events.into_iter().find_map(|event| match event {
        Event::Returned(_, sent_with, fd) if sent_with == message => Some(fd),
        _ => None,
    });
    let mut stream = TcpStream::from(returned.expect("it came back"));
    stream.write_all(b"answered").expect("the client is there");
    drop(stream);
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert_eq!(answer, "answered");
}

fn sleeper(children: &mut Children) -> Id {
    children.spawn(shell("exec sleep 1000"))
}

/// Node's child gets everything that was sent before the disconnect, and then EOF.
#[test]
fn a_disconnect_waits_for_what_was_sent_before() {
    let Some(node) = node() else { return };
    let script = node_program(
        "process.on('message', (message, handle) => {
             console.log(message, handle ? 'with a handle' : 'alone');
             handle?.destroy();
         });
         process.on('disconnect', () => console.log('the end'));",
    );
    let (_turn, mut children) = children();
    let mut command = Command::new(node);
    command.arg(script.path()).stdout(Stdio::piped());
    let child = children.spawn(command);
    let (handle, _client) = connection();
    children.send_handle(child, json!("a"), handle);
    children.send(child, &json!("b"));
    let (handle, _client) = connection();
    children.send_handle(child, json!("c"), handle);
    children.send(child, &json!("d"));
    children.disconnect(child);
    assert!(!children.connected(child), "nothing more can be sent");

    let events = wait(&mut children, |all| closed(all) == 1);
    let printed = events.iter().filter_map(|event| match event {
        Event::Output(_, bytes) => Some(String::from_utf8_lossy(bytes)),
        _ => None,
    });
    assert_eq!(
        printed.collect::<String>(),
        "a with a handle\nb alone\nc with a handle\nd alone\nthe end\n"
    );
    let mut words = words(&events);
    words.retain(|word| word != "output");
    let expected = ["spawn", "acked", "acked", "disconnect"];
    assert_eq!(words[..4], expected, "a handle that the child has is not returned");
    assert_eq!(words[4..], ["exit Exited(0)", "close Ok(Exited(0))"]);
}

#[test]
fn a_long_message_before_a_disconnect_arrives_whole() {
    let (_turn, mut children) = children();
    let mut command = shell("sleep 0.3; head -c 5000003 <&$fd | tail -c 9; exit 3");
    command.stdout(Stdio::piped());
    let child = children.spawn(command);
    children.send(child, &Value::from("x".repeat(5_000_000)));
    children.disconnect(child);
    children.disconnect(child);
    assert_eq!(
        life(&mut children),
        [
            "spawn",
            "error ERR_IPC_DISCONNECTED",
            "disconnect",
            "output",
            "exit Exited(3)",
            "close Ok(Exited(3))"
        ]
    );
}

/// The child has closed its end, and the parent knows.
#[test]
fn a_handle_for_a_closed_channel_comes_back() {
    let (_turn, mut children) = children();
    let child = children.spawn(shell("eval \"exec $fd>&-\"; exec sleep 1000"));
    wait_for(&mut children, "disconnect");
    let (handle, client) = connection();
    children.send_handle(child, json!("late"), handle);
    let events = wait_for(&mut children, "returned \"late\"");
    assert_eq!(words(&events)[0], "error ERR_IPC_CHANNEL_CLOSED");
    assert_usable(events, "late", client);
    children.kill(child, Signal::SIGKILL);
    life(&mut children);
}

/// The child has closed its end, and the parent does not know it yet.
#[test]
fn a_handle_for_a_channel_that_has_just_closed_comes_back() {
    let (_turn, mut children) = children();
    let child = children.spawn(shell(
        "eval \"exec $fd>&-\"; echo closed; exec sleep 1000 > /dev/null",
    ));
    std::thread::sleep(Duration::from_millis(300));
    let (handle, client) = connection();
    children.send_handle(child, json!("a"), handle);
    let events = wait_for(&mut children, "disconnect");
    assert_eq!(words(&events), ["spawn", "returned \"a\"", "disconnect"]);
    assert_usable(events, "a", client);
    children.kill(child, Signal::SIGKILL);
    life(&mut children);
}

/// The child dies before it reads the first of three handles.
#[test]
fn a_handle_that_was_written_and_never_read_comes_back() {
    let (_turn, mut children) = children();
    let child = sleeper(&mut children);
    let clients = ["a", "b", "c"].map(|message| {
        let (handle, client) = connection();
        children.send_handle(child, json!(message), handle);
        client
    });
    children.kill(child, Signal::SIGKILL);
    let events = wait(&mut children, |all| closed(all) == 1);
    let expected = [
        "spawn",
        "returned \"a\"",
        "returned \"b\"",
        "returned \"c\"",
        "disconnect",
    ];
    assert_eq!(words(&events)[..5], expected);
    let [client, ..] = clients;
    assert_usable(events, "a", client);
}

/// The child dies while its parent writes a long message with a handle.
#[test]
fn a_handle_whose_message_was_written_in_part_comes_back() {
    let (_turn, mut children) = children();
    let child = sleeper(&mut children);
    let message = "x".repeat(4_000_000);
    let (handle, client) = connection();
    children.send_handle(child, Value::from(message.clone()), handle);
    children.kill(child, Signal::SIGKILL);
    let events = wait(&mut children, |all| closed(all) == 1);
    assert_usable(events, &message, client);
}

/// A child that does not read delays a disconnect, until the child is killed.
#[test]
fn a_disconnect_that_waits_ends_with_the_child() {
    let (_turn, mut children) = children();
    let child = sleeper(&mut children);
    let (handle, client) = connection();
    children.send_handle(child, json!("a"), handle);
    children.disconnect(child);
    let soon = Instant::now() + Duration::from_millis(300);
    assert_eq!(words(&children.wait(Some(soon)).expect("poll")), ["spawn"]);
    assert!(children.wait(Some(soon)).expect("poll").is_empty(), "it waits");
    children.kill(child, Signal::SIGKILL);
    let events = wait(&mut children, |all| closed(all) == 1);
    assert_eq!(words(&events)[..2], ["returned \"a\"", "disconnect"]);
    assert_usable(events, "a", client);
}

/// The child has exited, and a descendant holds the channel. The parent cannot
/// know whether the descendant has read the handle. Two processes must not have
/// it, so it is not given back.
#[test]
fn after_a_disconnect_a_handle_that_a_descendant_may_have_is_not_returned() {
    for disconnect_first in [false, true] {
        let (_turn, mut children) = children();
        let (reader, writer) = pipe();
        let mut command = shell(LEAVES_THE_CHANNEL);
        command.stdin(reader);
        let child = children.spawn(command);
        let (handle, _client) = connection();
        children.send_handle(child, json!("a"), handle);
        if disconnect_first {
            children.disconnect(child);
        }
        let mut events = wait_for(&mut children, "exit Exited(5)");
        if !disconnect_first {
            children.disconnect(child);
        }
        if closed(&events) == 0 {
            events.extend(wait(&mut children, |all| closed(all) == 1));
        }
        let mut expected =
            ["spawn", "exit Exited(5)", "disconnect", "close Ok(Exited(5))"];
        if disconnect_first {
            expected.swap(1, 2);
        }
        assert_eq!(words(&events), expected);
        drop(writer);
    }
}
