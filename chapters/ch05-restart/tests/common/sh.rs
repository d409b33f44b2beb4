//! Workers in a few lines of shell or Python, for `--exec`.

use testkit::Running;

/// Arguments for `--exec` that run `script`.
pub fn sh(script: &str) -> [&str; 3] {
    ["sh", "-c", script]
}

/// Python, with what every worker of these tests needs: `channel`, and `take()`,
/// which receives the listener and acknowledges it.
const PRELUDE: &str = "
import array, json, os, select, signal, socket, sys, time
channel = socket.socket(fileno=int(os.environ['NODE_CHANNEL_FD']))
def say(text):
    channel.sendall(text.encode() + b'\\n')
def take():
    data, ancillary, _, _ = channel.recvmsg(65536, 64)
    fds = array.array('i')
    for _, _, bytes in ancillary:
        fds.frombytes(bytes)
    say('{\"cmd\":\"NODE_HANDLE_ACK\"}')
    listener = socket.socket(fileno=fds[0])
    listener.setblocking(True)
    return listener
def serve(listener):
    listener.setblocking(False)
    while True:
        # Until the master closes the channel; the worker may have done so before.
        ready, _, _ = select.select([it for it in (listener, channel) if it.fileno() >= 0], [], [])
        if channel in ready and channel.recv(65536) == b'':
            sys.exit(0)
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            continue
        client.recv(65536)
        body = b'handled by child, pid is %d\\n' % os.getpid()
        client.sendall(b'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n' % len(body) + body)
        client.close()
";

/// A server whose workers run `script` in Python; `None`, and a line on standard
/// error, if there is no Python.
pub fn python_server(workers: usize, script: &str) -> Option<Running> {
    if !super::installed("python3") {
        return None;
    }
    let program = format!("{PRELUDE}{script}");
    Some(super::server_of(workers, &["python3", "-c", &program]))
}
