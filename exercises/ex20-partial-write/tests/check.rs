//! What has to become of the bytes that a client does not read. `cargo test -p ex20-partial-write`

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::{Output, Running, cpu_time, exercise, fds, temp_dir, try_eventually};

/// How long we wait for what should happen at once. Long, because the machine may be busy.
const SOON: Duration = Duration::from_secs(8);

/// Runs your program with this script on its standard input, to its end.
#[track_caller]
fn run(script: &str) -> Output {
    let dir = temp_dir();
    let file = File::open(dir.write("script", script)).expect("the script");
    exercise!().arg("script").stdin(file).output()
}

/// Plays a script. Each `write` has behind `=>` what it should print.
#[track_caller]
fn plays(script: &str, hint: &str) {
    let lines: Vec<(&str, Option<&str>)> = script
        .lines()
        .map(|line| match line.trim().split_once(" => ") {
            Some((line, right)) => (line, Some(right)),
            None => (line.trim(), None),
        })
        .collect();
    let asked: Vec<&str> = lines.iter().map(|(line, _)| *line).collect();
    let output = run(&asked.join("\n"));
    let mut said = output.stdout.lines().filter(|it| *it != "new");
    let mut story = String::new();
    for (line, right) in lines {
        let _ = writeln!(story, "{line}");
        let Some(right) = right else { continue };
        let says = said.next().unwrap_or("(nothing)");
        let _ = writeln!(story, "  {says}");
        assert!(
            says == format!("wrote {right}"),
            "the last line should be: wrote {right}\n{story}\n{hint}\n{}",
            output.stderr
        );
    }
}

#[test]
fn what_the_kernel_does_not_take_is_written_later() {
    plays(
        "new
         push abcdefgh
         write 3 block => abc: ok, wants read, write
         write 2 block => de: ok, wants read, write
         write 9 => fgh: ok, wants read",
        "The kernel took three bytes, then two. Each call must go on where the last one stopped.",
    );
    plays(
        "new
         push abcdefgh
         write 1 => abcdefgh: ok, wants read",
        "The kernel takes one byte each time, and never says that it has no room. So go on until all \
         is written.",
    );
}

#[test]
fn bytes_keep_their_order() {
    plays(
        "new
         push abc
         push def
         write 4 block => abcd: ok, wants read, write
         push ghi
         write 1 block => e: ok, wants read, write
         push jkl
         write 99 => fghijkl: ok, wants read
         push mno
         write 99 => mno: ok, wants read",
        "New bytes come behind those that wait.",
    );
}

#[test]
fn a_kernel_without_room_is_no_error_and_is_not_asked_again() {
    plays(
        "new
         push abc
         write block => nothing: ok, wants read, write
         write 99 => abc: ok, wants read",
        "WouldBlock means: not now. Return, and write when the loop calls again.",
    );
}

#[test]
fn an_interrupted_write_is_no_error() {
    plays(
        "new
         push abcdef
         write 2 interrupt block => ab: ok, wants read, write
         write 99 => cdef: ok, wants read",
        "Interrupted means that a signal came before the kernel took anything (EINTR).",
    );
}

#[test]
fn a_broken_connection_is_an_error() {
    plays(
        "new
         push abcdef
         write 2 broken => ab: BrokenPipe, wants read, write",
        "Every error but WouldBlock and Interrupted ends the connection: return it.",
    );
    plays(
        "new
         push abc
         write 0 => nothing: WriteZero, wants read, write",
        "A stream that takes 0 bytes will never take more. If you try again, you try for ever.",
    );
}

#[test]
fn room_in_the_kernel_is_wanted_only_while_bytes_wait() {
    plays(
        "new
         write block => nothing: ok, wants read
         push abc
         write block => nothing: ok, wants read, write
         write 3 => abc: ok, wants read",
        "A kernel almost always has room. If you want to hear of that while nothing waits, the loop \
         never sleeps.",
    );
}

#[test]
fn requests_are_read_only_while_little_waits() {
    plays(
        "new
         fill 65536
         write block => nothing: ok, wants read, write
         fill 1
         write block => nothing: ok, wants write
         write 1 block => .: ok, wants read, write
         fill 100000
         write 50000 block => 50000 bytes: ok, wants write
         write 50000 block => 50000 bytes: ok, wants read, write",
        "More than 65,536 bytes that wait: no further request. How many wait is what was pushed minus \
         what is written.",
    );
}

#[test]
fn a_large_answer_is_not_copied_for_each_write() {
    let said = run("measure").stdout;
    let (took, kept) = two_numbers(&said);
    assert!(
        took.is_some_and(|ms| ms < 1500),
        "to write 16 MiB, 2 KiB at a time, took: {said}\nIf you remove from the front of a Vec what is \
         written, all that waits is moved each time. Remember how far you are."
    );
    assert!(
        kept.is_some_and(|kib| kib < 2048),
        "16 MiB were written, and after that there are: {said}\nWhen nothing waits, give the memory \
         back: most connections are idle."
    );
}

#[test]
fn a_connection_that_is_never_empty_does_not_grow() {
    let said = run("steady").stdout;
    let (used, _) = two_numbers(&said);
    assert!(
        used.is_some_and(|kib| kib < 8192),
        "1 GiB went through a connection for which 32 KiB always waited, and it has: {said}\nWhat is \
         written must go, not only when everything is."
    );
}

fn two_numbers(text: &str) -> (Option<u64>, Option<u64>) {
    let mut numbers = text.split_whitespace().filter_map(|it| it.parse().ok());
    (numbers.next(), numbers.next())
}

/// A client that does not wait for ever.
fn connect(server: &Running) -> TcpStream {
    let client = TcpStream::connect(server.addr()).expect("to connect");
    client.set_read_timeout(Some(SOON)).expect("a socket option");
    client
}

fn start() -> Running {
    exercise!().args(["--port", "0"]).start()
}

/// Whether a client is answered with these ten bytes.
#[track_caller]
fn assert_serves(server: &Running, hint: &str) {
    let mut client = connect(server);
    client.write_all(b"10\n").expect("to send");
    let mut answer = [0; 10];
    let result = client.read_exact(&mut answer);
    assert!(
        result.is_ok() && answer == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        "a client asked for ten bytes, and got: {result:?}, {answer:?}\n{hint}\n{}",
        server.describe()
    );
}

/// Reads exactly the answer to a request for so many bytes.
#[track_caller]
fn assert_answer(client: &mut TcpStream, length: usize, hint: &str) {
    let mut answer = vec![0; length];
    let result = client.read_exact(&mut answer);
    assert!(result.is_ok(), "not all {length} bytes arrived: {result:?}\n{hint}");
    let wrong =
        answer.iter().enumerate().position(|(at, it)| *it != (at % 251) as u8);
    assert!(wrong.is_none(), "byte {wrong:?} of {length} is wrong\n{hint}");
}

#[test]
fn a_client_that_reads_later_gets_every_byte_and_holds_no_other_up() {
    let server = start();
    let mut slow = connect(&server);
    slow.write_all(b"12000000\n5\n").expect("to send");
    // It has begun, and the kernel has no more room.
    let begun = try_eventually(SOON, || slow.peek(&mut [0]).ok());
    assert!(begun.is_some(), "no byte arrives\n{}", server.describe());
    sleep(Duration::from_millis(50));
    assert_serves(
        &server,
        "Another client does not read its answer. Does `write_to` wait for it?",
    );
    let before = cpu_time(server.pid());
    sleep(Duration::from_millis(400));
    let used = cpu_time(server.pid()) - before;
    assert!(
        used < Duration::from_millis(120),
        "in 400 ms in which nothing can be written, the server used {used:?} of CPU time.\nDoes it \
         ask the kernel again and again?"
    );
    assert_answer(
        &mut slow,
        12_000_000,
        "The client read late. Where did you go on?",
    );
    assert_answer(&mut slow, 5, "This is the answer to the second request.");
    // Now nothing waits.
    let before = cpu_time(server.pid());
    sleep(Duration::from_millis(300));
    let used = cpu_time(server.pid()) - before;
    assert!(
        used < Duration::from_millis(90),
        "in 300 ms in which nothing happens, the server used {used:?} of CPU time.\nWhat does it want \
         to hear of?"
    );
}

#[test]
fn a_client_that_asks_and_never_reads_costs_little_memory() {
    let server = start();
    let mut greedy = connect(&server);
    greedy.set_write_timeout(Some(Duration::from_millis(300))).expect("an option");
    // 3 GB are asked for. The write times out: the server does not read it all.
    let requests = "100000\n".repeat(30_000);
    let began = Instant::now();
    let all_sent = greedy.write_all(requests.as_bytes());
    assert_serves(&server, "Another client asks and asks, and reads nothing.");
    let memory = memory(&server);
    assert!(
        memory < 32 << 10,
        "a client asked for 3 GB and reads nothing: the server has {memory} KiB ({all_sent:?} after \
         {:?}).\nWhile too much waits, read no further requests.",
        began.elapsed()
    );
}

/// In KiB (proc_pid_status(5)).
fn memory(server: &Running) -> u64 {
    let path = format!("/proc/{}/status", server.pid());
    let status = std::fs::read_to_string(path).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|it| it.split_whitespace().next()?.parse().ok())
        .unwrap_or(u64::MAX)
}

#[test]
fn a_client_that_sends_no_more_still_gets_its_answer() {
    let server = start();
    let mut client = connect(&server);
    client.write_all(b"9000000\n").expect("to send");
    client.shutdown(Shutdown::Write).expect("to end our side");
    sleep(Duration::from_millis(50));
    let hint = "The client has ended its side, and reads.";
    assert_answer(&mut client, 9_000_000, hint);
    let end = client.read(&mut [0]);
    assert!(matches!(end, Ok(0)), "after the answer the connection ends: {end:?}");
}

#[test]
fn a_client_that_vanishes_costs_only_itself() {
    let server = start();
    assert_serves(&server, "It has just begun.");
    let before = fds(server.pid()).len();
    for _ in 0..20 {
        let mut client = connect(&server);
        client.write_all(b"9000000\n").expect("to send");
        let begun = client.read_exact(&mut [0]);
        assert!(begun.is_ok(), "no byte arrives\n{}", server.describe());
    }
    assert_serves(
        &server,
        "Twenty clients have vanished in the middle of an answer.",
    );
    let closed =
        try_eventually(SOON, || (fds(server.pid()).len() <= before).then_some(()));
    assert!(
        closed.is_some(),
        "twenty clients have vanished, and the server keeps {} descriptors, not {before}",
        fds(server.pid()).len()
    );
}
