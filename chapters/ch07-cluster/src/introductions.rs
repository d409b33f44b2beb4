// ANCHOR: top
//! Introduces a worker that drains to one that goes on with its connections.

use std::{io, os::unix::net::UnixStream};

use ch03_handles::Handle;
use ch04_events::{Children, Id};
use serde_json::json;
// ANCHOR_END: top

// ANCHOR: introduce
/// Gives two workers a channel of their own. From now on they need this process no
/// more: it may be stopped, or die, and no connection is lost with it.
///
/// # Errors
/// Those of socketpair(2): no descriptor is free.
pub fn introduce(children: &mut Children, giver: Id, taker: Id) -> io::Result<()> {
    let (one, other) = UnixStream::pair()?;
    children.send_handle(giver, json!({"act": "give"}), Handle::Unix(one));
    children.send_handle(taker, json!({"act": "take"}), Handle::Unix(other));
    Ok(())
}
// ANCHOR_END: introduce
