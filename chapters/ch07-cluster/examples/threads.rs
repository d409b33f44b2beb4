//! Two workers as threads of one process; with `processes`, as processes.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{env, process, thread};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::wait;
use nix::unistd::{ForkResult, fork};

/// Threads have this number in common. Each process has its own.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:1337".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("listening on http://{}", listener.local_addr()?);
    if env::args().nth(2).as_deref() == Some("processes") {
        start_process(&listener)?;
        loop {
            start_process(&listener)?;
            println!("{:?}", wait()?);
        }
    }
    // A panic ends a thread, unless it is caught. Then the thread begins again.
    let worker = || loop {
        let _ = catch_unwind(|| work(&listener));
    };
    thread::scope(|scope| {
        scope.spawn(worker);
        worker()
    })
}

fn start_process(listener: &TcpListener) -> io::Result<()> {
    // SAFETY: the parent has one thread.
    if let ForkResult::Child = unsafe { fork() }? {
        set_pdeathsig(Signal::SIGKILL)?;
        println!("worker {} exits: {:?}", process::id(), work(listener));
        process::exit(1);
    }
    Ok(())
}

fn work(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (mut client, _) = listener.accept()?;
        let mut request = [0; 4096];
        let _length = client.read(&mut request)?;
        match request.split(|byte| *byte == b' ').nth(1) {
            Some(b"/slow") => thread::sleep(Duration::from_secs(1)),
            Some(b"/panic") => panic!("on purpose"),
            Some(b"/abort") => process::abort(),
            _ => {}
        }
        let number = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
        let text = format!("request {number} of process {}\n", process::id());
        client.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{text}").as_bytes())?;
    }
}
