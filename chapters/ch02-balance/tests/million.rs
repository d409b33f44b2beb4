//! A million connections, and what one of them costs, here and in Node.
//!
//! Ignored, because they take a minute and mean nothing in a debug build:
//! `cargo test --release -p ch02-balance --test million -- --ignored --nocapture`

use std::time::Duration;

use testkit::{
    Program, Running, cpu_time,
    load::{Kind, Load, Report},
    node, node_program,
};

const CLIENTS: usize = 16;
const MILLION: u64 = 1_000_000;

/// Node loses connections in the second round of 20,000 and all of them in the
/// third.
const NODE_CONNECTIONS: u64 = 10_000;

#[test]
#[ignore = "takes a minute, and needs a release build"]
fn a_million_connections_are_answered_and_cost_a_quarter_of_what_they_cost_in_node()
{
    let ours = Program::new(env!("CARGO_BIN_EXE_ch02-balance"))
        .args(["--port", "0"])
        .start();
    let (report, cost) = measure(&ours, MILLION);
    println!("ours: {report}, {cost:?} of processor time a connection");
    report.assert_none_lost();
    assert_eq!(report.answered, MILLION, "each connection has its answer");
    for name in ["normal", "special"] {
        let share = report.by_name.get(name).copied().unwrap_or(0);
        assert_eq!(
            share,
            MILLION / 2,
            "{name} has exactly half of the connections"
        );
    }

    let Some(node) = node() else { return };
    let script = node_program(include_str!("node/parent.js"));
    let theirs = Program::new(node).arg(&script).start();
    let (node_report, node_cost) = measure(&theirs, NODE_CONNECTIONS);
    println!("node: {node_report}, {node_cost:?} of processor time a connection");
    println!("ratio: {:.1}", node_cost.as_secs_f64() / cost.as_secs_f64());
    assert!(
        cost * 4 <= node_cost,
        "a connection costs {cost:?} here and {node_cost:?} in Node: more than a quarter"
    );
}

/// The load, and the processor time of parent and children for one answered
/// connection.
fn measure(server: &Running, connections: u64) -> (Report, Duration) {
    let load = Load { addr: server.addr(), clients: CLIENTS, kind: Kind::Raw };
    // Both are warm by then: what a start costs is not what a connection costs.
    load.run_total(2_000);
    let spent =
        || server.processes().iter().map(|it| cpu_time(it.pid)).sum::<Duration>();
    let before = spent();
    let report = load.run_total(connections);
    let cost = (spent() - before).as_secs_f64() / report.answered.max(1) as f64;
    (report, Duration::from_secs_f64(cost))
}
