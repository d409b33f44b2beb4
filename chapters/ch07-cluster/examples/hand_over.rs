//! Step 3: a worker that exits gives its connection to the next worker.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::UnixDatagram;
use std::{env, process};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags};
use nix::sys::socket::{recvmsg, sendmsg};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::sys::{prctl::set_pdeathsig, signal::Signal};
use nix::unistd::{ForkResult, fork};

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:1337".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("listening on http://{}", listener.local_addr()?);
    let (give, take) = UnixDatagram::pair()?;
    let mut is_given = false;
    loop {
        // SAFETY: the parent has one thread.
        if let ForkResult::Parent { child } = unsafe { fork() }? {
            is_given = waitpid(child, None)? == WaitStatus::Exited(child, 0);
            continue;
        }
        set_pdeathsig(Signal::SIGKILL)?;
        let client = match is_given {
            true => receive(&take)?,
            false => listener.accept()?.0,
        };
        let answered = (0..3).try_for_each(|_| answer(&client));
        let given = answered.and_then(|()| send(&give, &client));
        process::exit(given.is_err().into());
    }
}

fn send(give: &UnixDatagram, client: &TcpStream) -> io::Result<()> {
    let (fds, bytes) = ([client.as_raw_fd()], [IoSlice::new(b"!")]);
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(give.as_raw_fd(), &bytes, &rights, MsgFlags::empty(), None)?;
    Ok(())
}

fn receive(take: &UnixDatagram) -> io::Result<TcpStream> {
    let mut byte = [0];
    let (mut bytes, mut rights) = ([IoSliceMut::new(&mut byte)], cmsg_space!(i32));
    let (fd, flags) = (take.as_raw_fd(), MsgFlags::MSG_CMSG_CLOEXEC);
    let message = recvmsg::<()>(fd, &mut bytes, Some(&mut rights), flags)?;
    let Some(ControlMessageOwned::ScmRights(fds)) = message.cmsgs()?.next() else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    // SAFETY: the kernel has just opened this descriptor for us.
    Ok(unsafe { TcpStream::from_raw_fd(fds[0]) })
}

/// Answers one request. The connection stays open for the next one.
fn answer(mut client: &TcpStream) -> io::Result<()> {
    if client.read(&mut [0; 4096])? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let text = format!("handled by {}\n", process::id());
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
    client.write_all((head + &text).as_bytes())
}
