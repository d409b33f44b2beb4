//! What a few lines of strace mean.

use lab::{event::What, model::Model};

/// For each signal that was delivered, whether it tells of the parent's death. It looks
/// like one that the parent has sent (prctl(2), `PR_SET_PDEATHSIG`).
fn tells_of_death(lines: &[&str]) -> Vec<bool> {
    let mut model = Model::new();
    for line in ["10 1.0 execve(\"/a\", [\"a\"], 0x7f /* 9 vars */) = 0"]
        .iter()
        .chain(lines)
    {
        model.line(line);
    }
    assert_eq!(model.odd(), 0);
    let events = model.take_events().into_iter();
    let signals = events.filter_map(|event| match event.what {
        What::Signal { is_parents_death, .. } => Some(is_parents_death),
        _ => None,
    });
    signals.collect()
}

const FORK: &str = "10 1.1 clone(child_stack=NULL, flags=SIGCHLD) = 11";
const ASKS: &str = "11 1.2 prctl(PR_SET_PDEATHSIG, SIGCONT) = 0";
const DEATH: &str = "10 1.4 +++ killed by SIGKILL +++";
const SIGNAL: &str = "11 1.5 --- SIGCONT {si_signo=SIGCONT, si_code=SI_USER, \
                      si_pid=10, si_uid=0} ---";

#[test]
fn of_the_parents_death_only_the_signal_tells_that_was_asked_for() {
    assert_eq!(tells_of_death(&[FORK, ASKS, DEATH, SIGNAL]), [true]);
    assert_eq!(tells_of_death(&[FORK, ASKS, SIGNAL, DEATH]), [true]);
    assert_eq!(tells_of_death(&[FORK, DEATH, SIGNAL]), [false]);
    let other = ASKS.replace("SIGCONT", "SIGTERM");
    assert_eq!(tells_of_death(&[FORK, &other, DEATH, SIGNAL]), [false]);
    let not_any_more = ASKS.replace("SIGCONT", "0");
    assert_eq!(
        tells_of_death(&[FORK, ASKS, &not_any_more, DEATH, SIGNAL]),
        [false]
    );
    let fails = ASKS.replace("= 0", "= -1 EINVAL (Invalid argument)");
    assert_eq!(tells_of_death(&[FORK, &fails, DEATH, SIGNAL]), [false]);
}

#[test]
fn what_the_parent_has_sent_itself_does_not_tell_of_its_death() {
    let kill = "10 1.3 kill(11, SIGCONT) = 0";
    assert_eq!(tells_of_death(&[FORK, ASKS, kill, SIGNAL]), [false]);
}

#[test]
fn a_child_of_the_child_has_not_asked() {
    let fork = "11 1.3 clone(child_stack=NULL, flags=SIGCHLD) = 12";
    let signal = SIGNAL.replace("11 1.5", "12 1.6").replace("=10", "=11");
    assert_eq!(tells_of_death(&[FORK, ASKS, fork, &signal]), [false]);
}

#[test]
fn a_call_that_waits_is_one_event() {
    let mut model = Model::new();
    let start = "10 1.0 poll([{fd=3, events=POLLIN}], 1, -1";
    model.line("10 0.9 execve(\"/a\", [\"a\"], 0x7f /* 9 vars */) = 0");
    model.partial(start);
    model.line(&format!("{start} <unfinished ...>"));
    model.line("10 1.1 <... poll resumed>) = 1 ([{fd=3, revents=POLLIN}])");
    model.partial(&start.replace("1.0", "1.2"));
    let events = model.take_events().into_iter();
    let waits = events.filter(|it| matches!(it.what, What::Wait { .. }));
    assert_eq!(waits.map(|it| it.time).collect::<Vec<_>>(), [0.1, 0.3]);
}
