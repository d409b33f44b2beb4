//! Messages on their way: lines in the buffers of pairs and pipes.
//!
//! A stream has no messages, only bytes: one write may have several lines, a line may
//! come in several writes, and reads divide the bytes as they like (chapter 1). So what
//! is on its way is counted in bytes, and a message has arrived with its last byte.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::event::{ObjectId, Received};

/// A message of which not all bytes were received.
#[derive(Debug)]
struct Message {
    number: u64,
    from: i32,
    text: Vec<u8>,
    /// Bytes that were not received yet.
    left: usize,
    /// Its line has no end yet: the next bytes of the same sender belong to it.
    is_open: bool,
    /// Descriptors that travel with it.
    handles: Vec<ObjectId>,
}

/// The buffers of all pairs and pipes.
#[derive(Debug, Default)]
pub struct Messages {
    inboxes: HashMap<ObjectId, VecDeque<Message>>,
    /// Objects to which another process has sent something.
    used: HashSet<ObjectId>,
    next: u64,
}

/// Bytes that were written by one call.
#[derive(Debug)]
pub struct Sent<'a> {
    /// The process that has written them.
    pub from: i32,
    /// What is known of them: strace prints only the beginning of long texts.
    pub known: &'a [u8],
    /// How many they are.
    pub length: usize,
    /// Descriptors that were sent along.
    pub handles: Vec<ObjectId>,
}

/// What one call has received.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Messages that are complete now.
    pub messages: Vec<Received>,
    /// The processes that have sent these bytes.
    pub from: Vec<i32>,
    /// Descriptors that came along, if the receiver has taken them.
    pub handles: Vec<ObjectId>,
    /// Bytes that nothing was seen to send.
    pub unseen: usize,
}

impl Messages {
    /// Puts bytes into the buffer of `to`. Returns the numbers of the messages to which
    /// they belong: the first may have begun before.
    pub fn send(&mut self, to: ObjectId, sent: Sent) -> Vec<u64> {
        let inbox = self.inboxes.entry(to).or_default();
        let mut handles = sent.handles;
        let mut numbers = Vec::new();
        for (piece, length, is_open) in pieces(sent.known, sent.length) {
            let last = inbox.back_mut();
            let begun = last.filter(|it| it.is_open && it.from == sent.from);
            if let Some(message) = begun {
                message.text.extend_from_slice(piece);
                message.left += length;
                message.is_open = is_open;
                message.handles.append(&mut handles);
                numbers.push(message.number);
                continue;
            }
            inbox.push_back(Message {
                number: self.next,
                from: sent.from,
                text: piece.to_vec(),
                left: length,
                is_open,
                handles: std::mem::take(&mut handles),
            });
            numbers.push(self.next);
            self.next += 1;
        }
        numbers
    }

    /// Messages go to this object: it is one end of a channel.
    pub fn set_used(&mut self, object: ObjectId) {
        self.used.insert(object);
    }

    /// Whether messages have gone to this object.
    pub fn is_used(&self, object: ObjectId) -> bool {
        self.used.contains(&object)
    }

    /// How many bytes are in the buffer of an object.
    pub fn waiting(&self, object: ObjectId) -> usize {
        let inbox = self.inboxes.get(&object);
        inbox.into_iter().flatten().map(|message| message.left).sum()
    }

    /// Takes `length` bytes out of the buffer of an object.
    pub fn receive(&mut self, object: ObjectId, length: usize) -> Arrived {
        let mut arrived = Arrived { unseen: length, ..Arrived::default() };
        let Some(inbox) = self.inboxes.get_mut(&object) else { return arrived };
        while arrived.unseen > 0 {
            let is_last = inbox.len() == 1;
            let Some(message) = inbox.front_mut() else { break };
            let taken = message.left.min(arrived.unseen);
            message.left -= taken;
            arrived.unseen -= taken;
            if !arrived.from.contains(&message.from) {
                arrived.from.push(message.from);
            }
            // They come with the first byte of what they were sent with (unix(7)).
            arrived.handles.append(&mut message.handles);
            if message.left > 0 || (message.is_open && is_last) {
                // More of it may follow.
                break;
            }
            if let Some(message) = inbox.pop_front() {
                arrived.messages.push(Received {
                    message: message.number,
                    from: message.from,
                    text: String::from_utf8_lossy(&message.text).into_owned(),
                });
            }
        }
        arrived
    }

    /// Nothing will be received from this object any more. Returns the descriptors that
    /// are lost with what was in its buffer.
    pub fn drop_inbox(&mut self, object: ObjectId) -> Vec<ObjectId> {
        let inbox = self.inboxes.remove(&object).unwrap_or_default();
        inbox.into_iter().flat_map(|message| message.handles).collect()
    }
}

/// Lines, with their lengths, and whether their end is missing. What is not known is one
/// piece: its lines cannot be counted.
fn pieces(known: &[u8], length: usize) -> Vec<(&[u8], usize, bool)> {
    let known = &known[..known.len().min(length)];
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(end) = known[at..].iter().position(|byte| *byte == b'\n') {
        pieces.push((&known[at..=at + end], end + 1, false));
        at += end + 1;
    }
    if at < length {
        // If some of it is unknown, it may well have ended.
        let is_open = known.len() == length;
        pieces.push((&known[at..], length - at, is_open));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: ObjectId = 7;

    fn send(messages: &mut Messages, text: &str, handles: &[ObjectId]) -> Vec<u64> {
        let (known, handles) = (text.as_bytes(), handles.to_vec());
        messages.send(END, Sent { from: 1, known, length: known.len(), handles })
    }

    fn texts(arrived: &Arrived) -> Vec<(u64, &str)> {
        arrived.messages.iter().map(|it| (it.message, &*it.text)).collect()
    }

    #[test]
    fn two_lines_in_one_write_are_two_messages() {
        let mut messages = Messages::default();
        assert_eq!(send(&mut messages, "a\nbc\n", &[]), [0, 1]);
        let arrived = messages.receive(END, 5);
        assert_eq!(texts(&arrived), [(0, "a\n"), (1, "bc\n")]);
        assert_eq!((arrived.unseen, messages.waiting(END)), (0, 0));
    }

    #[test]
    fn a_line_in_two_writes_and_three_reads_is_one_message() {
        let mut messages = Messages::default();
        assert_eq!(send(&mut messages, "ab", &[]), [0]);
        assert_eq!(texts(&messages.receive(END, 1)), []);
        assert_eq!(texts(&messages.receive(END, 1)), [], "its line has not ended");
        assert_eq!(send(&mut messages, "c\nd\n", &[]), [0, 1]);
        assert_eq!(messages.waiting(END), 4);
        let arrived = messages.receive(END, 3);
        assert_eq!(texts(&arrived), [(0, "abc\n")]);
        assert_eq!(texts(&messages.receive(END, 1)), [(1, "d\n")]);
    }

    #[test]
    fn handles_come_with_the_first_byte() {
        let mut messages = Messages::default();
        send(&mut messages, "a\n", &[30, 31]);
        send(&mut messages, "b\n", &[32]);
        let arrived = messages.receive(END, 1);
        assert_eq!((arrived.handles, arrived.messages.len()), (vec![30, 31], 0));
        assert_eq!(messages.receive(END, 3).handles, [32]);
        send(&mut messages, "c\n", &[33]);
        assert_eq!(messages.drop_inbox(END), [33]);
        assert_eq!(messages.waiting(END), 0);
    }

    #[test]
    fn what_strace_has_cut_is_counted_and_not_known() {
        let mut messages = Messages::default();
        let known = b"a\nbc";
        let sent = Sent { from: 1, known, length: 1000, handles: Vec::new() };
        assert_eq!(messages.send(END, sent), [0, 1]);
        assert_eq!(texts(&messages.receive(END, 1000)), [(0, "a\n"), (1, "bc")]);
    }

    #[test]
    fn two_senders_do_not_continue_each_others_lines() {
        let mut messages = Messages::default();
        send(&mut messages, "a", &[]);
        let sent = Sent { from: 2, known: b"b\n", length: 2, handles: Vec::new() };
        assert_eq!(messages.send(END, sent), [1]);
        let arrived = messages.receive(END, 3);
        let from: Vec<i32> = arrived.messages.iter().map(|it| it.from).collect();
        assert_eq!(from, [1, 2]);
    }

    #[test]
    fn bytes_that_nothing_has_sent_are_unseen() {
        let mut messages = Messages::default();
        assert_eq!(messages.receive(END, 3).unseen, 3);
        send(&mut messages, "a\n", &[]);
        let arrived = messages.receive(END, 5);
        assert_eq!((texts(&arrived), arrived.unseen), (vec![(0, "a\n")], 3));
    }
}
