//! The same children, watched by `watch` and by Node: the same lines.

mod common;

use std::path::Path;

use common::{
    LEAVES_ITS_OUTPUT, LEAVES_THE_CHANNEL, LONG, bash, events_with_a_grandchild,
    masked, watch,
};
use testkit::{Program, node, node_program, temp_dir};

/// Runs `child` under both, with the same plan: what `watch` prints, and what
/// Node prints.
#[track_caller]
fn both(
    node: &Path,
    flags: &[&str],
    plan: &str,
    child: &[String],
) -> (Vec<String>, Vec<String>) {
    let script = node_program(include_str!("node/watch.js"));
    let by_node =
        Program::new(node).arg(&script).arg(plan).args(child).limit(LONG).output();
    assert!(by_node.status.success(), "{}", by_node.stderr);
    let ours = watch(flags, child).limit(LONG).output();
    assert_eq!(
        ours.stderr, by_node.stderr,
        "{child:?}: what the child has printed"
    );
    (lines(&ours.stdout), lines(&by_node.stdout))
}

/// The message of an error differs; its code does not.
fn lines(text: &str) -> Vec<String> {
    let is_error = |line: &str| line.contains(r#""event":"error""#);
    let cut = |line: String| match line.find(r#","message":"#) {
        Some(at) if is_error(&line) => line[..at].to_owned(),
        _ => line,
    };
    masked(text).into_iter().map(cut).collect()
}

/// Both must print the same.
#[track_caller]
fn same(node: &Path, flags: &[&str], plan: &str, child: &[String]) {
    let (ours, by_node) = both(node, flags, plan, child);
    // Not assert_eq: some of these lines are a mebibyte long.
    if ours != by_node {
        let clip = |lines: &[String]| {
            let short =
                lines.iter().map(|it| it.chars().take(300).collect::<String>());
            short.collect::<Vec<_>>().join("\n")
        };
        let (ours, node) = (clip(&ours), clip(&by_node));
        panic!(
            "{flags:?} {child:?}\n--- watch says\n{ours}\n--- Node says\n{node}"
        );
    }
}

fn with_node(test: impl FnOnce(&Path)) {
    if let Some(node) = node() {
        test(&node);
    }
}

/// A child in Node.
fn script(node: &Path, script: &str) -> [String; 3] {
    [node.display().to_string(), "-e".to_owned(), script.to_owned()]
}

#[test]
fn children_that_exit_by_themselves() {
    with_node(|node| {
        same(
            node,
            &[],
            "{}",
            &script(node, "process.send('hi'); process.disconnect()"),
        );
        same(node, &[], "{}", &script(node, "process.exit(7)"));
        same(
            node,
            &[],
            "{}",
            &script(node, "process.kill(process.pid); setInterval(()=>{}, 9)"),
        );
        same(node, &[], "{}", &bash("exit 3"));
        same(node, &[], "{}", &bash("kill -KILL $$"));
        same(node, &[], "{}", &bash("eval \"exec $fd>&-\"; exit 4"));
        same(
            node,
            &[],
            "{}",
            &bash("say '{\"a\":[1,2]}'; say null; say '\"x\"'; exit 9"),
        );
    });
}

#[test]
fn children_that_are_killed() {
    with_node(|node| {
        let waits = "process.send('ready'); process.on('message', () => {})";
        let traps =
            format!("process.on('SIGTERM', () => process.exit(1)); {waits}");
        same(
            node,
            &["--kill", "TERM"],
            r#"{"kill":"SIGTERM"}"#,
            &script(node, &traps),
        );
        for signal in ["SIGTERM", "SIGKILL"] {
            let plan = format!(r#"{{"kill":"{signal}"}}"#);
            same(node, &["--kill", signal], &plan, &script(node, waits));
        }
    });
}

#[test]
fn programs_that_cannot_be_started() {
    with_node(|node| {
        let dir = temp_dir();
        let file = dir.write("file", "no program").display().to_string();
        same(node, &[], "{}", &["/no/such/program".to_owned()]);
        same(node, &[], "{}", &["no-such-program".to_owned()]);
        same(node, &[], "{}", &[file]);
        same(node, &[], "{}", &[dir.path().display().to_string()]);
    });
}

/// Node reports no `close` after the parent's own `disconnect()`. `watch`
/// always does: without it a parent cannot know that this was the last event.
#[test]
fn channels_that_the_parent_closes() {
    with_node(|node| {
        let leaves = "process.on('disconnect', () => process.exit(3)); process.send('ready')";
        let at_once = (&["--disconnect"][..], r#"{"disconnect":true}"#);
        let later = (
            &["--disconnect", "--after", "50"][..],
            r#"{"disconnect":true,"after":50}"#,
        );
        let kill_too = (
            &["--disconnect", "--kill", "TERM"][..],
            r#"{"disconnect":true,"kill":"SIGTERM"}"#,
        );
        for ((flags, plan), child) in [
            (at_once, script(node, leaves)),
            (later, bash("read -r x <&$fd; exit 4")),
            (kill_too, bash("say 1; exec sleep 1000")),
        ] {
            let (mut ours, by_node) = both(node, flags, plan, &child);
            let close = ours.pop().unwrap_or_default();
            assert!(close.starts_with(r#"{"event":"close""#), "{close}");
            assert_eq!(ours, by_node, "{flags:?} {child:?}");
        }
    });
}

/// When the channel ends last, after `exit`, Node reports `close` one tick too
/// early: before `disconnect`. In `watch`, `close` is always the last event.
#[test]
fn grandchildren_that_keep_the_channel_or_the_output() {
    with_node(|node| {
        let script = node_program(include_str!("node/watch.js"));
        for child in [LEAVES_ITS_OUTPUT, LEAVES_THE_CHANNEL] {
            let by_node =
                Program::new(node).arg(&script).arg("{}").args(bash(child));
            let mut by_node = events_with_a_grandchild(by_node);
            if child == LEAVES_THE_CHANNEL {
                by_node.swap(2, 3);
            }
            assert_eq!(
                events_with_a_grandchild(watch(&[], bash(child))),
                by_node,
                "{child}"
            );
        }
    });
}

#[test]
fn children_that_print() {
    with_node(|node| {
        same(
            node,
            &[],
            "{}",
            &bash("head -c 300000 /dev/zero | tr '\\0' x; exit 2"),
        );
        same(node, &[], "{}", &bash("echo this is an error >&2; say 1"));
    });
}

#[test]
fn messages_of_every_kind() {
    with_node(|node| {
        let send = "let all = A; const next = () => all.length ? process.send(all.shift(), next) \
                    : process.disconnect(); next()";
        let all = r#"[
            {b: 1, a: {z: 1, y: 2}, 7: [null, true, "x"]},
            "Grüße, 世界 🦀", "\0\x1f\x7f\u2028\u2029", "line\nbreak", "\\ \" /", "",
            0, -0, 1.5, -2.25, 1e21, 1e-7, 2**53, -(2**53), 5e-324,
            "é".repeat(512 * 1024), {text: "x".repeat(1 << 20), last: 1},
            {cmd: "NODE_NEWS"}, {cmd: "NODEx"}, {cmd: 7}, {cmd: "other"}
        ]"#;
        same(node, &[], "{}", &script(node, &send.replace('A', all)));
    });
}

/// A byte that is not UTF-8 is replaced (U+FFFD), and the line is a message all
/// the same.
#[test]
fn bytes_that_are_not_utf_8() {
    with_node(|node| {
        let script = r#"printf '"\xff Gr\xc3 \xc3\xa9"\n' >&$fd; say 2; exit 1"#;
        same(node, &[], "{}", &bash(script));
    });
}

/// A double has 17 digits at most, and each counts: 3.0000000000000004 is not 3.
#[test]
fn numbers_arrive_to_the_last_digit() {
    with_node(|node| {
        let numbers = "[122.416294033786585, 3.5844466002796428e+298, -4.0392373208520685e-137, \
                       0.1 + 0.2, Number.MAX_VALUE, 2.2250738585072011e-308]";
        let send = format!("process.send({numbers}, () => process.disconnect())");
        same(node, &[], "{}", &script(node, &send));
    });
}
