//! Signals that poll(2) can wait for. A process has one `SignalPipe` at a time, so
//! these tests take turns.

use std::{
    io::ErrorKind,
    os::{fd::AsFd, unix::process::CommandExt},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ch04_events::SignalPipe;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{
        SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction,
    },
};

const PAIR: [Signal; 2] = [Signal::SIGUSR1, Signal::SIGUSR2];

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets what a signal does, and returns what it did before.
fn set(signal: Signal, handler: SigHandler) -> SigHandler {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: only to ignore it, or the default: neither runs code of ours.
    unsafe { sigaction(signal, &action) }.expect("it can be set").handler()
}

fn readable(pipe: &SignalPipe) -> bool {
    let mut polled = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO).expect("poll") > 0
}

/// raise(3) returns after the handler has run: nothing here has to wait.
#[track_caller]
fn raise_all(signals: &[Signal]) {
    for &signal in signals {
        raise(signal).expect("it is sent");
    }
}

#[test]
fn each_signal_is_returned_once() {
    let _turn = turn();
    let mut pipe = SignalPipe::new(&PAIR).expect("the only one");
    assert!(!readable(&pipe) && pipe.take().is_empty(), "nothing has happened");
    raise_all(&[
        Signal::SIGUSR2,
        Signal::SIGUSR1,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ]);
    assert!(readable(&pipe), "poll(2) must see it");
    assert_eq!(pipe.take(), PAIR);
    assert!(!readable(&pipe) && pipe.take().is_empty(), "it was taken");
}

#[test]
fn a_full_pipe_does_not_block_the_handler() {
    let _turn = turn();
    let mut pipe = SignalPipe::new(&PAIR).expect("the only one");
    for _ in 0..20_000 {
        raise_all(&[Signal::SIGUSR1]);
    }
    assert_eq!(pipe.take(), [Signal::SIGUSR1]);
    raise_all(&[Signal::SIGUSR2]);
    assert_eq!(pipe.take(), [Signal::SIGUSR2], "there is room again");
}

#[test]
fn a_signal_does_afterwards_what_it_did_before() {
    let _turn = turn();
    set(Signal::SIGUSR1, SigHandler::SigIgn);
    let mut pipe = SignalPipe::new(&PAIR).expect("the only one");
    raise_all(&[Signal::SIGUSR1]);
    assert_eq!(pipe.take(), [Signal::SIGUSR1], "an ignored signal arrives");
    drop(pipe);
    raise_all(&[Signal::SIGUSR1]);
    assert!(matches!(set(Signal::SIGUSR1, SigHandler::SigDfl), SigHandler::SigIgn));
    assert!(matches!(set(Signal::SIGUSR2, SigHandler::SigDfl), SigHandler::SigDfl));
}

/// nohup(1) starts a program with SIGHUP ignored, and it stays so.
#[test]
fn an_ignored_sighup_stays_ignored() {
    let _turn = turn();
    set(Signal::SIGHUP, SigHandler::SigIgn);
    let mut pipe = SignalPipe::new(&[Signal::SIGHUP]).expect("the only one");
    raise_all(&[Signal::SIGHUP]);
    assert_eq!(pipe.take(), []);
    drop(pipe);
    assert!(matches!(set(Signal::SIGHUP, SigHandler::SigDfl), SigHandler::SigIgn));
    let mut pipe = SignalPipe::new(&[Signal::SIGHUP]).expect("the only one");
    raise_all(&[Signal::SIGHUP]);
    assert_eq!(pipe.take(), [Signal::SIGHUP], "by default it arrives");
}

#[test]
fn a_process_has_one_at_a_time() {
    let _turn = turn();
    let mut pipe = SignalPipe::new(&[Signal::SIGUSR1]).expect("the only one");
    let error = SignalPipe::new(&PAIR).expect_err("there is one");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    raise_all(&[Signal::SIGUSR1]);
    assert_eq!(pipe.take(), [Signal::SIGUSR1], "the first one works as before");
    drop(pipe);
    SignalPipe::new(&PAIR).expect("the first one was dropped");
}

#[test]
fn a_signal_that_cannot_be_caught_is_refused() {
    let _turn = turn();
    for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
        let error =
            SignalPipe::new(&[Signal::SIGUSR1, signal]).expect_err("it cannot be");
        assert_eq!(error.raw_os_error(), Some(Errno::EINVAL as i32));
    }
    assert!(
        matches!(set(Signal::SIGUSR1, SigHandler::SigDfl), SigHandler::SigDfl),
        "all is as before"
    );
    SignalPipe::new(&PAIR).expect("the failed calls have left nothing");
}

/// From fork to exec a child has its parent's handlers, and its parent's pipe.
#[test]
fn a_child_s_signals_are_not_its_parent_s() {
    let _turn = turn();
    let mut pipe = SignalPipe::new(&PAIR).expect("the only one");
    for _ in 0..50 {
        let mut command = Command::new("true");
        // SAFETY: raise(3) is async-signal-safe, and so is the handler that it
        // runs.
        unsafe { command.pre_exec(|| Ok(raise(Signal::SIGUSR1)?)) };
        assert!(
            command.status().expect("it runs").success(),
            "the handler runs there, and writes nothing"
        );
    }
    assert!(!readable(&pipe), "a child has written into its parent's pipe");
    assert_eq!(pipe.take(), [], "and no signal arrived");
}
